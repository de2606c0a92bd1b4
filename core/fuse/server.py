"""The loop of the server: requests in, each carried out in its turn, answers out.

Nothing is trusted: a message that is none, or longer than any, ends the server, and with it this mount alone. No
request is read while answers wait to be taken, so nothing is queued here. One request is carried out after another, so
that no two of the guest's own race.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from sandtop.core.fuse.protocol import ANSWER, MAX_REQUEST, REQUEST, NotFuse, Op

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sandtop.core.fuse.operations import Operations

_READ: Final = 256 * 1024
_NO_ANSWER: Final = frozenset({Op.FORGET, Op.BATCH_FORGET, Op.INTERRUPT, Op.NOTIFY_REPLY, Op.DESTROY})
_MOST_ANSWERED: Final = 256 * 1024
"""Bytes of answers that are put together before they are sent."""


class Server:
    """Answers what comes by ``link`` with ``operations``, until the other end is closed."""

    def __init__(self, link: socket.socket, operations: Operations) -> None:
        self._link = link
        self._received = bytearray()
        self._answers: list[bytes] = []
        self._handlers: dict[int, Callable[[int, memoryview], bytes]] = dict(operations.handlers)

    def run(self) -> None:
        """Returns when the other end is closed. Raises `NotFuse`, OSError."""
        while data := self._link.recv(_READ):
            self._received += data
            self._take_all()
            self._send()

    def _take_all(self) -> None:
        received, at = memoryview(bytes(self._received)), 0
        while len(received) - at >= REQUEST.size:
            length, operation, number, node, *_ = REQUEST.unpack_from(received, at)
            if not REQUEST.size <= length <= MAX_REQUEST:
                raise NotFuse(f"a request of {length} bytes")
            if at + length > len(received):
                break
            self._carry_out(operation, number, node, received[at + REQUEST.size : at + length])
            at += length
        del self._received[:at]

    def _carry_out(self, operation: int, number: int, node: int, body: memoryview) -> None:
        handler = self._handlers.get(operation)
        try:
            if handler is None:
                raise OSError(errno.ENOSYS, "")
            answer, problem = handler(node, body), 0
        except OSError as error:
            answer, problem = b"", error.errno or errno.EIO
        except MemoryError:
            answer, problem = b"", errno.ENOMEM
        if operation in _NO_ANSWER:
            return
        self._answers += (ANSWER.pack(ANSWER.size + len(answer), -problem, number), answer)
        if sum(map(len, self._answers)) > _MOST_ANSWERED:
            self._send()

    def _send(self) -> None:
        if self._answers:
            data, self._answers = b"".join(self._answers), []
            self._link.sendall(data)
