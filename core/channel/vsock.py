"""AF_VSOCK (vsock(7)) as a transport, and the same behind a Unix socket, as Firecracker and Cloud Hypervisor have it.

The agent listens on `VSOCK_PORT`. Every connection is a byte stream of its own, which ends for both sides when one of
them is gone, so nothing of an earlier link comes out of it. What may be open on the host does not show that an agent is
behind it: the guest's kernel accepts also a connection whose host end is gone, and a hypervisor's socket may be there
before its guest is. The link's handshake decides.
"""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, Final, Protocol

import trio

from sandtop.agent.wire import VSOCK_PORT
from sandtop.core.channel.handshake import shake_hands
from sandtop.core.errors import ChannelError

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.channel.transport import Transport

log = logging.getLogger(__name__)

DIAL_DEADLINE: Final = 5.0
"""Seconds for a connection to stand. The kernel gives up by itself after two (VSOCK_DEFAULT_CONNECT_TIMEOUT)."""

_MOST_ANSWER: Final = 32
"""Bytes of the line that answers a ``CONNECT``: "OK", and a number below 2^32."""

_REASONS: Final = {
    errno.ECONNREFUSED: "nothing listens on the agent's port",
    errno.ECONNRESET: "nothing listens on the agent's port, or the machine is gone",
    errno.ENODEV: "no machine of this host has that CID, or vhost_vsock is not loaded",
    errno.ETIMEDOUT: "the guest does not take the connection: it may be paused or overloaded",
    errno.EAFNOSUPPORT: "this host's kernel has no AF_VSOCK",
    errno.EADDRNOTAVAIL: "this host's kernel has no way to machines over AF_VSOCK",
}
"""What the errors of connect(2) mean on AF_VSOCK, in words. All were seen but EAFNOSUPPORT and EADDRNOTAVAIL."""

UNUSABLE: Final = frozenset(
    {errno.ECONNREFUSED, errno.ECONNRESET, errno.ENODEV, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
)
"""Errors that say of a machine whose agent is up that it cannot be reached in this way; ETIMEDOUT is not one."""


class DialError(ChannelError):
    """A connection did not come to stand.

    Attributes:
        number: the errno(3) of it; None when it was no error of the kernel's.
    """

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.number = number


class Dial(Protocol):
    """How a connection to one port of one guest is made."""

    async def __call__(self, port: int) -> trio.SocketStream:
        """A connection to ``port`` of the guest. Raises `DialError`."""
        ...


class Kernel:
    """A `Dial` by the host's kernel: AF_VSOCK to the guest whose context id is ``cid``."""

    def __init__(self, cid: int) -> None:
        self._cid = cid

    def __str__(self) -> str:
        return f"CID {self._cid}"

    async def __call__(self, port: int) -> trio.SocketStream:
        try:
            dialled = trio.socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        except OSError as error:
            raise self._failed(error, port) from error
        try:
            with trio.fail_after(DIAL_DEADLINE):
                await dialled.connect((self._cid, port))
        except trio.TooSlowError as error:
            raise self._failed(OSError(errno.ETIMEDOUT, "timed out"), port) from error
        except OSError as error:
            dialled.close()
            raise self._failed(error, port) from error
        except BaseException:
            dialled.close()
            raise
        return trio.SocketStream(dialled)

    def _failed(self, error: OSError, port: int) -> DialError:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        return DialError(f"no connection to port {port} of CID {self._cid}: {reason}", error.errno)


class Hybrid:
    """A `Dial` by a hypervisor that offers vsock on a Unix socket at ``path``.

    A connection is asked for by the line ``CONNECT port`` and stands when ``OK number`` has come; the hypervisor closes
    it when nothing listens there (Firecracker, docs/vsock.md, "Host-Initiated Connections").
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    async def __call__(self, port: int) -> trio.SocketStream:
        try:
            stream = await trio.open_unix_socket(self._path)
        except (OSError, RuntimeError) as error:
            number = error.errno if isinstance(error, OSError) else None
            raise DialError(f"the vsock {self._path} cannot be opened: {error}", number) from error
        try:
            with trio.fail_after(DIAL_DEADLINE):
                await stream.send_all(b"CONNECT %d\n" % port)
                answer = await _line(stream)
        except trio.TooSlowError as error:
            await trio.aclose_forcefully(stream)
            raise self._failed(port, "it does not answer", errno.ETIMEDOUT) from error
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(stream)
            raise self._failed(port, _REASONS[errno.ECONNREFUSED], errno.ECONNREFUSED) from error
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        word, _, assigned = answer.partition(b" ")
        if word == b"OK" and assigned.isdigit():
            return stream
        await trio.aclose_forcefully(stream)
        if not answer:
            raise self._failed(port, _REASONS[errno.ECONNREFUSED], errno.ECONNREFUSED)
        raise self._failed(port, f"it answers {answer!r}", errno.EPROTO)

    def _failed(self, port: int, reason: str, number: int) -> DialError:
        return DialError(f"no connection to port {port} by {self._path}: {reason}", number)


async def _line(stream: trio.SocketStream) -> bytes:
    """The hypervisor's answer, without its newline; empty when it closes the connection before the end of it.

    Read byte by byte: what follows the newline is the agent's.
    """
    line = bytearray()
    while len(line) < _MOST_ANSWER and not line.endswith(b"\n"):
        byte = await stream.receive_some(1)
        if not byte:
            return b""
        line += byte
    return bytes(line).removesuffix(b"\n")


class Vsock:
    """The transport that dials the agent's port.

    Whoever may make sockets on this host can reach the agent by AF_VSOCK, so it takes no secret from there. It learns
    it from the first link over ``private``, which the core alone can open. That link has another use: an agent that
    answers on it is up and listens on its vsock port, so a dial that finds nothing then never will, and with
    ``fall_back`` the links go over ``private`` from then on.

    Without ``private`` the dial is a way of the core's own (a Unix socket of mode 0600).

    Attributes:
        refused: why the links go over ``private``; None while they do not.
    """

    def __init__(self, dial: Dial, private: Transport | None = None, *, fall_back: bool = False) -> None:
        self._dial = dial
        self._private = private
        self._introduced = private is None
        self._fall_back = fall_back
        self.refused: str | None = None

    async def open(self, token: str) -> trio.abc.Stream:
        """See `Transport`."""
        if self._private is not None and not self._introduced:
            await _introduce(self._private, token)
            self._introduced = True
        if self._private is not None and self.refused is not None:
            return await self._private.open(token)
        try:
            return await self._dial(VSOCK_PORT)
        except DialError as error:
            if self._private is None or not self._fall_back or error.number not in UNUSABLE:
                raise
            self.refused = error.message
            log.warning("vsock is not used: %s", error.message)
            return await self._private.open(token)


async def _introduce(private: Transport, token: str) -> None:
    """Have the agent learn the secret over a way that is the core's alone. Waits for its answer; no link is begun."""
    stream = await private.open(token)
    try:
        await shake_hands(stream, token)
    except trio.BrokenResourceError as error:
        raise ChannelError("the machine closed the channel") from error
    finally:
        await trio.aclose_forcefully(stream)
