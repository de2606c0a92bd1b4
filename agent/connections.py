"""TCP connections that are streams of the link: into the guest, which the core asks for, and out, of its programs.

Those into the guest are made from the agent to the guest's loopback, whatever its network. Those out of it were
accepted in place of whom a program meant (`egress`), and the core carries them on or resets them.

Each is a stream both ways on the link, with its own credit in either direction: one whose program, or whose client,
takes nothing holds up no other. What is read of a socket is what there is credit for, and what is held for a socket is
what credit was given for. A connection ends with the link that it was asked for on.
"""

from __future__ import annotations

import _socket  # `socket` takes ten times as long to import, and adds nothing that is needed here
import errno
import os
import struct

from .linkend import CHUNK
from .loop import READ, WRITE
from .wire import Credit, Data, Intake, SendStream, values
from .wire.limits import (
    DIAL_CREDIT,
    FIRST_CONNECTION,
    FIRST_DIALED,
    LAST_STREAM,
    MAX_CONNECT_MS,
    MAX_CONNECTIONS,
    MAX_DIALED,
    MAX_PORT,
)

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from .loop import Loop, Timer
    from .wire import Eof, Outbox

    Message = dict[str, object]

ADDRESSES: Final = ((_socket.AF_INET, "127.0.0.1"), (_socket.AF_INET6, "::1"))
"""Where a port is looked for, one after the other."""
_MOST_HELD: Final = 8 << 20
_LEAST_WINDOW: Final = 16 << 10
_MOST_WINDOW: Final = 1 << 20
_PART: Final = 8
"""Bytes that the agent holds for the sockets of all connections, beside the least for each, and of that for one. Each
new one may have an eighth of what is left. A small guest has 128 MiB of memory for all that runs in it."""
_RESET: Final = struct.pack("ii", 1, 0)
"""The option SO_LINGER with which a socket's close is a reset (socket(7)), which programs do not take for an end."""
_CODES: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
}


class Connections:
    """Those of the link that stands. ``say`` sends a message to the core, and returns whether there is one."""

    def __init__(self, loop: Loop, outbox: Outbox, say: Callable[[Message], bool]) -> None:
        self.loop = loop
        self.outbox = outbox
        self.say = say
        self._all: dict[int, _Connection] = {}
        self._held = 0  # what may be held of them
        self._dialed = 0
        self._last = FIRST_DIALED - 1

    def connect(self, message: Message) -> None:
        """Make a connection, or say why there is none. Raises InvalidMessage."""
        number = values.integer(message, "n", FIRST_CONNECTION, FIRST_DIALED - 1)
        port = values.integer(message, "port", 1, MAX_PORT)
        patience = values.integer(message, "timeout_ms", 1, MAX_CONNECT_MS)
        if number in self._all:
            raise values.InvalidMessage(f"there is a connection {number}")
        if len(self._all) - self._dialed >= MAX_CONNECTIONS:
            self._refuse(number, "limit", f"there are {MAX_CONNECTIONS} connections")
            return
        self._new(number, port).begin(patience / 1000)

    def dial(self, program: _socket.socket, host: str, port: int) -> None:
        """Carry ``program`` to ``host``, a name or an address, as the core decides; without a core it is reset."""
        number = self._last
        while (number := number + 1 if number < LAST_STREAM else FIRST_DIALED) in self._all:
            pass
        if self._dialed >= MAX_DIALED or not self.say(
            {"type": "dial", "n": number, "host": host, "port": port}
        ):
            program.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _RESET)
            program.close()
            return
        self._last = number
        self._dialed += 1
        self._new(number, port).carry(program)

    def _new(self, number: int, port: int) -> _Connection:
        window = max(_LEAST_WINDOW, min(_MOST_WINDOW, (_MOST_HELD - self._held) // _PART))
        self._held += window
        made = self._all[number] = _Connection(number, port, window, self)
        return made

    def disconnect(self, message: Message) -> None:
        """Reset a connection, if it is still there. Raises InvalidMessage."""
        connection = self._all.get(values.integer(message, "n"))
        if connection is not None:
            self.forget(connection, reset=True)

    def take(self, frame: Data | Credit | Eof) -> None:
        """A frame of a connection's stream; of one that is gone it is nothing. Raises ProtocolError."""
        connection = self._all.get(frame.stream)
        if connection is None:
            return
        if isinstance(frame, Credit):
            self.outbox.take_credit(frame)
        else:
            connection.take(frame)
        connection.go_on()

    def clear(self) -> None:
        """The link has ended: so do they, and programs see that they were cut off."""
        for connection in list(self._all.values()):
            self.forget(connection, reset=True)

    def fail(self, connection: _Connection, number: int) -> None:
        """The connection did not come to stand, or broke, with the errno(3) ``number``."""
        self._refuse(connection.number, _CODES.get(number, "os-error"), os.strerror(number))
        self.forget(connection, reset=True)

    def _refuse(self, number: int, code: str, message: str) -> None:
        self.say({"type": "disconnected", "n": number, "code": code, "message": message})

    def forget(self, connection: _Connection, *, reset: bool) -> None:
        """Close it, with ``reset`` without waiting for what was not read."""
        del self._all[connection.number]
        self._held -= connection.window
        if connection.number >= FIRST_DIALED:
            self._dialed -= 1
        self.outbox.remove(connection.number)
        connection.close(reset=reset)


class _Connection:
    """One connection. `begin` it; it ends by itself, or by `Connections.forget`."""

    __slots__ = (
        "_addresses", "_all", "_error", "_events", "_intake", "_open", "_patience", "_port", "_shut", "_socket",
        "_stream", "number", "window",
    )  # fmt: skip

    def __init__(self, number: int, port: int, window: int, all_: Connections) -> None:
        self.number = number
        self.window = window
        self._port = port
        self._all = all_
        self._addresses = list(ADDRESSES)
        self._error = 0
        self._socket: _socket.socket | None = None
        self._events = 0  # those that the loop watches for; with none it does not watch the socket at all
        self._open = False
        self._shut = False  # whether the program was told that no more comes
        self._patience: Timer | None = None
        self._stream = SendStream(number)
        self._intake = Intake(number, window)

    # coming to stand

    def begin(self, patience: float) -> None:
        """Connect, within ``patience`` seconds."""
        self._all.outbox.add(self._stream)
        self._patience = self._all.loop.call_in(patience, self._too_late)
        self._attempt()

    def carry(self, program: _socket.socket) -> None:
        """Carry what ``program`` sends and takes, which is connected."""
        self._all.outbox.add(self._stream)
        self._all.outbox.take_credit(
            Credit(self.number, 0, DIAL_CREDIT)
        )  # what the program says first goes at once
        self._socket = program
        self._carry()

    def _too_late(self) -> None:
        self._patience = None
        self._all.fail(self, errno.ETIMEDOUT)

    def _attempt(self) -> None:
        """Try the next address, or give up with the first one's error."""
        while self._addresses:
            family, address = self._addresses[0]
            kind = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
            try:
                self._socket = _socket.socket(family, kind)
                number = self._socket.connect_ex((address, self._port))
            except OSError as error:
                number = error.errno or errno.EIO
            if number == errno.EINPROGRESS:
                self._watch(WRITE)
                return
            if number == 0:
                self._stand()
                return
            self._next_address(number)
        self._all.fail(self, self._error)

    def _next_address(self, number: int) -> None:
        self._error = self._error or number
        del self._addresses[0]
        self._close_socket()

    def _stand(self) -> None:
        assert self._socket is not None
        self._all.loop.cancel(self._patience)
        self._patience = None
        self._all.say({"type": "connected", "n": self.number, "address": self._addresses[0][1]})
        self._carry()

    def _carry(self) -> None:
        assert self._socket is not None
        self._open = True
        self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self._all.outbox.credit(self._intake.begin())
        self.go_on()

    # bytes

    def take(self, frame: Data | Eof) -> None:
        """What the core sends. Raises ProtocolError."""
        if isinstance(frame, Data):
            self._intake.take(frame.offset, frame.data)
        else:
            self._all.outbox.credit(self._intake.finish(frame.offset))

    def go_on(self) -> None:
        """Write what waits, and watch for what there is to do next; forget it when that is nothing."""
        if not self._open:
            return
        try:
            self._write()
        except OSError as error:
            self._all.fail(self, error.errno or errno.EIO)
            return
        if self._shut and self._stream.finished and self._stream.eof_sent:
            self._all.forget(self, reset=False)
            return
        reads = self._stream.final is None and self._room > 0
        self._watch((READ if reads else 0) | (WRITE if self._intake.size else 0))

    @property
    def _room(self) -> int:
        """How many bytes the core takes."""
        return self._stream.limit - self._stream.end

    def _write(self) -> None:
        assert self._socket is not None
        intake = self._intake
        try:
            while intake.size:
                credit = intake.drop(self._socket.send(intake.first))
                if credit is not None:
                    self._all.outbox.credit(credit)
        except BlockingIOError:
            return
        if intake.ended and not self._shut:
            self._shut = True
            self._socket.shutdown(_socket.SHUT_WR)

    def _ready(self, _events: int) -> None:
        if self._socket is None:
            return  # closed in this turn
        if not self._open:
            self._settle()
            return
        try:
            self._read()
        except BlockingIOError:
            pass
        except OSError as error:
            self._all.fail(self, error.errno or errno.EIO)
            return
        self.go_on()

    def _settle(self) -> None:
        """The attempt that is under way may have come to something."""
        assert self._socket is not None
        number = self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if number:
            self._next_address(number)
            self._attempt()
        elif _is_connected(self._socket):
            self._stand()

    def _read(self) -> None:
        assert self._socket is not None
        room = min(CHUNK, self._room)
        if room <= 0 or self._stream.final is not None:
            return
        data = self._socket.recv(room)
        if data:
            self._stream.write(data)
        else:
            self._stream.close()
        self._all.outbox.wake(self.number)

    # the socket

    def _watch(self, events: int) -> None:
        """Watch for ``events``. With none not at all: a socket that both sides have shut would be reported for ever."""
        assert self._socket is not None
        loop, fd = self._all.loop, self._socket.fileno()
        if events == self._events:
            return
        if not self._events:
            loop.watch(fd, events, self._ready)
        elif events:
            loop.change(fd, events)
        else:
            loop.unwatch(fd)
        self._events = events

    def _close_socket(self) -> None:
        if self._socket is not None:
            if self._events:
                self._all.loop.unwatch(self._socket.fileno())
                self._events = 0
            self._socket.close()
            self._socket = None

    def close(self, *, reset: bool) -> None:
        """See `Connections.forget`."""
        self._all.loop.cancel(self._patience)
        self._patience = None
        if reset and self._socket is not None:
            self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _RESET)
        self._close_socket()


def _is_connected(sock: _socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
