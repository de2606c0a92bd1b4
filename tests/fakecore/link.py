"""One client's connection to the fake core."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, Protocol

from sandtop.agent.wire import Control, Decoder, Frame, encode

if TYPE_CHECKING:
    from sandtop.core.contract.record import Event, Record

Message = dict[str, Any]


class Conn:
    """Scripts use `send`, `message`, `receive` and `cut`.

    Attributes:
        crashed: the core died.
        gone: nobody is at the other end any more.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._decoder = Decoder()
        self._frames: list[Frame] = []
        self._lock = threading.Lock()
        self.crashed = False
        self.gone = False

    @property
    def broken(self) -> bool:
        return self.crashed or self.gone

    def send(self, *frames: Frame) -> None:
        with self._lock:
            self.sock.sendall(b"".join(encode(frame) for frame in frames))

    def message(self, kind: str, **fields: object) -> None:
        self.send(Control({"type": kind, **fields}))

    def tell(self, event: Event) -> None:
        self.send(Control(event.message()))

    def result(self, result: Record) -> None:
        self.message("result", **result.to_json())

    def receive(self) -> Frame:
        """Raises OSError when the client is gone."""
        while not self._frames:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionResetError("the client is gone")
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def cut(self) -> None:
        """End it as the death of a process does."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


class Script(Protocol):
    """What a test does in place of the core with a request."""

    def __call__(self, conn: Conn, request: Message) -> None: ...
