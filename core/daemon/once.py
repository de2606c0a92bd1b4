"""Changes that are made once however often they are asked for, and go on when their client goes away."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import SandtopError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandtop.core.contract.record import Record
    from sandtop.core.daemon.connection import Connection

    Operation = Callable[["Work"], Awaitable[Record]]

_REMEMBERED: Final = 256
"""Ended operations whose result a client that lost its connection may still ask for."""
_MAX_LINES: Final = 200


@dataclass(frozen=True, slots=True)
class Work:
    """A change that is being made.

    Attributes:
        progress: tells its clients, in a line, what takes long. One that begins with ``warning: `` is for them to keep.
        repeated: the same was asked of a core that died: what it asks for may be done already.
    """

    progress: Callable[[str], None]
    repeated: bool


class _Running:
    """One operation while it runs, and its answer for a little longer, for a client that asks again."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.result: Record | None = None
        self.error: SandtopError | None = None
        self.news = trio.lowlevel.ParkingLot()

    @property
    def ended(self) -> bool:
        return self.result is not None or self.error is not None

    def progress(self, line: str) -> None:
        if len(self.lines) < _MAX_LINES:
            self.lines.append(line)
            self.news.unpark_all()


class Once:
    """Runs operations in ``nursery``, by the id that their client gave them.

    ``is_first`` says of an id whether it was never seen before, by an earlier core either: an operation that one may
    have begun, or finished without being able to say so, runs as a repeat.
    """

    def __init__(self, nursery: trio.Nursery, is_first: Callable[[str], bool]) -> None:
        self._nursery = nursery
        self._is_first = is_first
        self._operations: OrderedDict[str, _Running] = OrderedDict()

    async def do(self, request_id: str, operation: Operation, connection: Connection) -> Record:
        """The result of ``operation``, with its progress sent to ``connection``. Raises what it raised."""
        running = self._operations.get(request_id) if request_id else None
        if running is None:
            running = _Running()
            repeated = False
            if request_id:
                repeated = not self._is_first(request_id)
                self._operations[request_id] = running
            self._nursery.start_soon(self._run, operation, running, repeated)
        told = 0
        while True:
            while told < len(running.lines):
                told += 1
                await connection.message("progress", {"message": running.lines[told - 1]})
            if running.ended:
                break
            await running.news.park()
        if running.error is not None:
            raise running.error
        assert running.result is not None
        return running.result

    async def _run(self, operation: Operation, running: _Running, repeated: bool) -> None:
        try:
            running.result = await operation(Work(running.progress, repeated))
        except SandtopError as error:
            running.error = error
        finally:
            running.news.unpark_all()
            self._forget()

    def _forget(self) -> None:
        surplus = len(self._operations) - _REMEMBERED
        for key in [key for key, running in self._operations.items() if running.ended][: max(surplus, 0)]:
            del self._operations[key]
