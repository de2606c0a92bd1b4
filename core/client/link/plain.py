"""A connection to the core on a plain blocking socket, and what is sent first on it. No more than that takes: a command
that people wait for has asked before it imports what it needs for the answer.
"""

from __future__ import annotations

import _socket  # socket itself spends 10 ms on turning constants into enums
import os
from _struct import Struct  # see sandtop/agent/wire/frames.py

from sandtop import __version__
from sandtop.agent.wire import MAX_PAYLOAD, Control, ProtocolError, encode
from sandtop.core.errors import CoreUnavailable
from sandtop.core.location import CORE_SOCKET, runtime_directory

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from sandtop.core.contract.record import Request

PROTOCOL_VERSION: Final = 1
"""Version of the messages between client and core."""
READ_BYTES: Final = 256 * 1024
"""How much one read from the core takes at most."""
SEND_SECONDS: Final = 60.0
"""How long the core may take to read what it is sent."""
_CONNECT_SECONDS: Final = 10.0
CREDENTIALS: Final = Struct("3i")  # struct ucred of SO_PEERCRED, unix(7): pid, uid, gid


class LinkLost(Exception):
    """The connection ended before the result came: the core died, or was told to stop."""


def new_id() -> str:
    """A fresh id for a session, a request or an operation: 16 hexadecimal digits."""
    return os.urandom(8).hex()


def message_of(request: Request[Any]) -> dict[str, object]:
    """The message that ``request`` is. One that is done once however often it is sent carries an id."""
    message = request.message()
    if "request_id" in request.fields:
        message.setdefault("request_id", new_id())
    return message


def opening(message: dict[str, object]) -> bytes:
    """What to send first: hello, and the request. Raises `InvalidRequest`, `SpawnError` when that is too large."""
    hello: dict[str, object] = {"type": "hello", "version": PROTOCOL_VERSION, "package": __version__}
    first = encode(Control(hello))
    try:
        return first + encode(Control(message))
    except ProtocolError:
        from .long import in_pieces

        return first + in_pieces(message)


class Link:
    """One connection to the core."""

    __slots__ = ("_socket",)

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Send all of ``data``. Raises `LinkLost`, or `CoreUnavailable` when the core does not take it in time."""
        try:
            self._socket.settimeout(SEND_SECONDS)
            self._socket.sendall(data)
        except TimeoutError:
            raise CoreUnavailable("the core does not read what it is sent", hint="see its log") from None
        except OSError as error:
            raise LinkLost from error

    def receive(self, seconds: float | None) -> bytes:
        """The next bytes. Raises `LinkLost` at the end, or `TimeoutError` when none come for ``seconds``."""
        try:
            self._socket.settimeout(seconds)
            data = self._socket.recv(READ_BYTES)
        except TimeoutError:
            raise
        except OSError as error:
            raise LinkLost from error
        if not data:
            raise LinkLost
        return data

    def close(self) -> None:
        self._socket.close()


def connect() -> Link:
    """A connection to the running core. Raises OSError when there is none, `CoreUnavailable` when it is not ours."""
    path = os.path.join(runtime_directory(), CORE_SOCKET)
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.settimeout(_CONNECT_SECONDS)
        sock.connect(path)
        credentials = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, CREDENTIALS.size)
        check_owner(path, credentials)
    except BaseException:
        sock.close()
        raise
    return Link(sock)


def check_owner(path: str, credentials: bytes) -> None:
    """Refuse a socket that somebody else listens on, who would see all and could answer anything."""
    uid: int = CREDENTIALS.unpack(credentials)[1]
    if uid != os.geteuid():
        raise CoreUnavailable(
            f"the core's socket {path} belongs to user {uid}", hint="remove it, or set XDG_RUNTIME_DIR"
        )


def is_long(data: bytes) -> bool:
    """Whether ``data`` is a request that an older core does not take. It says so and closes before all was sent: what
    it said can be read from the connection that broke.
    """
    return len(data) > MAX_PAYLOAD


def begin(first: Callable[[], bytes]) -> Link:
    """A connection on which ``first`` was sent. Raises as `connect` and `Link.send`, and what ``first`` raises."""
    link, data = connect(), b""
    try:
        data = first()
        link.send(data)
    except BaseException as error:
        if isinstance(error, LinkLost) and is_long(data):
            return link
        link.close()
        raise
    return link


def ask(message: dict[str, Any]) -> Link | None:
    """A connection on which ``message`` was sent; None when that needs patience, which `blocking.Conversation` has.

    Raises `InvalidRequest`, `CoreUnavailable`.
    """
    try:
        return begin(lambda: opening(message))
    except (OSError, LinkLost):
        return None
