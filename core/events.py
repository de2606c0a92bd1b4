"""What happened, kept: created, started, exited, failed … Appended to a file of a bounded size, and kept in memory.

A line of the file is the JSON of a `Happening` of the contract. It is written without waiting for the disk: what
happened outlives the core, also one that is killed, and not a host that loses power a moment later. A disk that takes
nothing holds nobody up: what it refused is kept, within bounds, and tried again with the next event.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from sandtop.core.contract.record import is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Event = dict[str, Any]
    """A `Happening` as JSON has it."""

log = logging.getLogger(__name__)
CAP_BYTES: Final = 4 << 20
"""What is kept on disk, in two files of half of it each: some 15,000 events."""
RECENT: Final = 1024
"""Events that are kept in memory, for those who follow."""
_MOST_WAITING: Final = 1 << 20
"""Bytes that a full disk refused and that are kept to be tried again."""
_TAIL: Final = 64 * 1024
"""More than the longest line: the last event is found in so many bytes at the end of the file."""
_MESSAGE: Final = 1000
"""Characters of a message."""


class EventLog:
    """The events at ``path``, and those of this core. `add` never blocks or raises."""

    def __init__(self, path: Path, *, cap: int = CAP_BYTES, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._older = path.with_name(path.name + ".1")
        self._piece = cap // 2
        self._now = now
        self._file: int | None = None
        self._size = 0
        self._waiting = bytearray()
        self._refused = ""
        self._last: int | None = None
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self.counts: Counter[str] = Counter()
        """How often each kind has happened since this core started."""
        self._news = trio.lowlevel.ParkingLot()

    @property
    def last(self) -> int:
        """The id of the last event; 0 before the first ever."""
        if (last := self._last) is None:
            last = self._last = max((int(event["id"]) for event in self._stored(_TAIL)), default=0)
        return last

    def add(
        self,
        kind: str,
        message: str = "",
        *,
        sandbox: str | None = None,
        uuid: str | None = None,
        session: str | None = None,
        record: Mapping[str, object] | None = None,
    ) -> None:
        """``kind`` has happened; `sandtop.core.contract.core_events.Happening` has the rest."""
        self._last = self.last + 1
        self.counts[kind] += 1
        event: Event = {
            "id": self._last, "at": self._now(), "kind": kind, "sandbox": sandbox, "uuid": uuid, "session": session,
            "message": message[:_MESSAGE], "record": None if record is None else dict(record),
        }  # fmt: skip
        self._recent.append(event)
        self._waiting += json.dumps(event, separators=(",", ":")).encode() + b"\n"
        try:
            self._write()
        except OSError as error:
            if self._refused != (why := str(error)):
                log.warning("events cannot be stored: %s", why)
                self._refused = why
            if len(self._waiting) > _MOST_WAITING:
                self._waiting.clear()
        self._news.unpark_all()

    def _write(self) -> None:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._size = os.fstat(self._file).st_size
            if self._size and os.pread(self._file, 1, self._size - 1) != b"\n":
                self._waiting[:0] = b"\n"  # an earlier core died in the middle of a line
        if self._size >= self._piece:
            os.replace(self._path, self._older)
            self.close()
            self._write()
            return
        while self._waiting:
            written = os.write(self._file, self._waiting)
            self._size += written
            del self._waiting[:written]
        self._refused = ""

    def close(self) -> None:
        """Close the file; adding opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    # reading

    def recent(self, after: int) -> list[Event] | None:
        """Those after the one with the id ``after``, oldest first; None where memory does not reach back that far."""
        if after >= self.last:
            return []
        if not self._recent or self._recent[0]["id"] > after + 1:
            return None
        return [event for event in self._recent if event["id"] > after]

    def stored(self, after: int = 0) -> list[Event]:
        """All that are kept, after the one with the id ``after``, oldest first. Blocks: for a thread."""
        recent = list(self._recent)
        begin = recent[0]["id"] if recent else self.last + 1
        found: list[Event] = []
        reached = after
        for event in self._stored():  # twice the same, where the file was moved away between the two reads
            if reached < event["id"] < begin:
                found.append(event)
                reached = event["id"]
        return found + [event for event in recent if event["id"] > after]

    async def wait(self) -> None:
        """Return when something has happened after this call."""
        await self._news.park()

    def _stored(self, tail: int | None = None) -> Iterator[Event]:
        """What is in the files; with ``tail``, in so many bytes at the end. Lines that make no sense are left out."""
        data = b""
        for path in (self._path, self._older):
            with suppress(OSError), path.open("rb") as file:
                if tail is not None:
                    file.seek(-min(tail, file.seek(0, os.SEEK_END)), os.SEEK_END)
                data = file.read(self._piece + _TAIL) + data
            if tail is not None and data:
                break
        for line in data.split(b"\n"):
            with suppress(ValueError):
                event: object = json.loads(line) if line else None
                if is_object(event) and isinstance(event.get("id"), int):
                    yield event


class Teller:
    """Adds what happens to the sandbox ``sandbox`` (its name) with this uuid; without a ``log``, nothing."""

    def __init__(self, log: EventLog | None, sandbox: str, uuid: str) -> None:
        self._log = log
        self._sandbox = sandbox
        self._uuid = uuid

    def __call__(
        self,
        kind: str,
        message: str = "",
        *,
        session: str | None = None,
        record: Mapping[str, object] | None = None,
    ) -> None:
        """See `EventLog.add`."""
        if self._log is not None:
            self._log.add(
                kind, message, sandbox=self._sandbox, uuid=self._uuid, session=session, record=record
            )
