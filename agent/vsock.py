"""The agent's AF_VSOCK port (vsock(7)), where the machine has vsock: who is let in, and the link of whoever is.

Every process of the host can connect, so a connection is nobody's until it has sent a marker with the machine's
secret, which the agent learns over its virtio-serial port alone. Whoever sends anything else is hung up on, without a
word, once it has sent as much as a marker or time is up. What the guest's kernel accepts may be the connection of a
core that is dead by now: it sends no marker either.

A connection that is let in is a link, until either side ends it. It takes the place of whatever link stood before, on
another connection or on the port, and gives way to the next one.
"""

from __future__ import annotations

import os

from .linkend import CHUNK, READS_A_TURN, LinkEnd
from .loop import READ, WRITE
from .wire import MARKER_LENGTH, nonce_of

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from typing import Final

    from .linkend import Peer
    from .loop import Loop, Timer
    from .port import Port
    from .wire import Outbox

HOST_CID: Final = 2  # VMADDR_CID_HOST, linux/vm_sockets.h
_ARGUMENT: Final = b"sandtop.vsock="
"""The kernel's argument with the port to listen on: SANDTOP.VSOCK=PORT; without it the machine has no vsock."""
_BACKLOG: Final = 64
_AT_THE_DOOR: Final = 16
"""Connections that have sent no marker yet. One more, and the one that waits longest is hung up on: a core's marker
comes at once, and whoever holds many connections open must not keep it out."""
_PATIENCE: Final = 5.0
"""Seconds for a connection to send its marker."""
_REST: Final = 1.0
"""Seconds without a look at who waits, when nobody can be let in."""


def listen(say: Callable[[str], None]) -> socket | None:
    """A nonblocking listener on the port that the kernel's arguments name; None where they name none.

    None, too, when it cannot be had, which ``say`` is told: the virtio-serial port is there in any case.
    """
    with open("/proc/cmdline", "rb") as file:
        port = port_of(file.read())
    if port is None:
        return None
    try:
        return bound(port)
    except OSError as error:
        say(f"no vsock: {error.strerror}")
        return None


def port_of(arguments: bytes) -> int | None:
    """The port that these kernel's arguments name, or None."""
    for word in arguments.split():
        if word.startswith(_ARGUMENT) and word[len(_ARGUMENT) :].isdigit():
            return int(word[len(_ARGUMENT) :])
    return None


def bound(port: int) -> socket:
    """A nonblocking listener on ``port`` of whatever CID the machine has now or will have. Raises OSError."""
    import _socket  # `socket` takes ten times as long to import, and adds nothing that is needed here

    listener = _socket.socket(_socket.AF_VSOCK, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    listener.setblocking(False)
    listener.bind((_socket.VMADDR_CID_ANY, port))
    listener.listen(_BACKLOG)
    return listener


def _accept(listener: socket) -> tuple[int, int]:
    """The descriptor of the next connection, closed on exec, and the CID of its other end. Raises OSError."""
    # what socket.accept() is made of; it has no types
    fd, address = listener._accept()  # type: ignore[attr-defined]  # pyright: ignore
    return int(fd), int(address[0])  # pyright: ignore[reportUnknownArgumentType]


class Door:
    """Lets cores in that connect to ``listener`` from ``host_cid`` and know the secret that ``port`` has learned."""

    def __init__(
        self, loop: Loop, listener: socket, port: Port, outbox: Outbox, peer: Peer, host_cid: int = HOST_CID
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._port = port
        self._outbox = outbox
        self._peer = peer
        self._host_cid = host_cid
        self._waiting: dict[int, _Stranger] = {}
        self._link: Connection | None = None
        port.link_begins = self._give_way
        self._open()

    def flush(self) -> None:
        """Send what waits to be sent on the link that stands, wherever it is."""
        if self._link is not None:
            self._link.flush()
        else:
            self._port.flush()

    def drop(self, reason: str) -> None:
        """End the link that stands, wherever it is."""
        if self._link is not None:
            self._link.drop(reason)
        self._port.drop(reason)

    def _open(self) -> None:
        self._loop.watch(self._listener.fileno(), READ, self._ready)

    def _ready(self, _events: int) -> None:
        for _ in range(READS_A_TURN):
            try:
                fd, cid = _accept(self._listener)
            except BlockingIOError:
                return
            except OSError:  # no more descriptors: to be told of it all the time helps nobody
                self._loop.unwatch(self._listener.fileno())
                self._loop.call_in(_REST, self._open)
                return
            if cid != self._host_cid:  # of the guest itself: nobody there has business here
                os.close(fd)
                continue
            os.set_blocking(fd, False)
            if len(self._waiting) >= _AT_THE_DOOR:
                self._waiting.pop(next(iter(self._waiting))).hang_up()
            self._waiting[fd] = _Stranger(self._loop, fd, self._heard)

    def _heard(self, stranger: _Stranger, said: bytes) -> None:
        """A stranger has said as much as a marker, or nothing more will come of it."""
        del self._waiting[stranger.fd]
        nonce = nonce_of(said, self._port.token) if len(said) == MARKER_LENGTH else None
        if nonce is None:
            stranger.hang_up()
            return
        stranger.let_go()
        self._give_way()
        self._port.give_way()
        self._link = Connection(self._loop, stranger.fd, self._outbox, self._peer, self._ended)
        self._link.begin(nonce)

    def _give_way(self) -> None:
        """A link begins elsewhere."""
        if self._link is not None:
            self._link.give_way()

    def _ended(self, link: Connection) -> None:
        if self._link is link:
            self._link = None


class _Stranger:
    """A connection that has not shown yet whose it is. ``heard`` gets what it said, once that is enough or the last."""

    def __init__(self, loop: Loop, fd: int, heard: Callable[[_Stranger, bytes], None]) -> None:
        self.fd = fd
        self._loop = loop
        self._heard = heard
        self._said = b""
        self._timer: Timer = loop.call_in(_PATIENCE, self._too_late)
        loop.watch(fd, READ, self._ready)

    def _ready(self, _events: int) -> None:
        try:
            data = os.read(self.fd, MARKER_LENGTH - len(self._said))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._said += data
        if not data or len(self._said) == MARKER_LENGTH:
            self._heard(self, self._said)

    def _too_late(self) -> None:
        self._heard(self, b"")

    def let_go(self) -> None:
        """Its descriptor is another's from now on."""
        self._loop.cancel(self._timer)
        self._loop.unwatch(self.fd)

    def hang_up(self) -> None:
        self.let_go()
        os.close(self.fd)


class Connection(LinkEnd):
    """A link on a connection of its own, whose descriptor it closes at its end; ``ended`` is told."""

    def __init__(
        self, loop: Loop, fd: int, outbox: Outbox, peer: Peer, ended: Callable[[Connection], None]
    ) -> None:
        super().__init__(loop, fd, outbox, peer, READ)
        self._ended = ended
        loop.watch(fd, READ, self._ready)

    def begin(self, nonce: bytes) -> None:
        """The link begins, whose marker had this ``nonce``."""
        self._begin(nonce)

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:  # EPIPE, ECONNRESET
            self.drop("")
            return -1

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._unblock()
        self._read()
        self.flush()

    def _read(self) -> None:
        chunks: list[bytes] = []
        gone = False
        try:
            while len(chunks) < READS_A_TURN:
                data = os.read(self._fd, CHUNK)
                gone = not data
                chunks.append(data)
                if len(data) < CHUNK:
                    break  # what there is besides is reported again
        except BlockingIOError:
            pass
        except OSError:  # ECONNRESET: its host end is gone, or the machine went on elsewhere
            gone = True
        self._take(b"".join(chunks))
        if gone:
            self.drop("")

    def give_way(self) -> None:
        super().give_way()
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._loop.cancel(self._hurrying)
            self._ended(self)
