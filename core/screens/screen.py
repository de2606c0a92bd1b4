"""One terminal's screen in the screen worker: from a checkpoint and the log to what shows now."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.screens.stored import Checkpoint, StoredTerminal, load, save
from sandtop.core.terminal import MAX_SIDE, SCROLLBACK, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)
_SLICE: Final = 32 * 1024
"""Bytes fed at a time: others wait no longer than that takes."""
_BETWEEN: Final = 1 << 20
"""Bytes from one checkpoint to the next …"""
_COSTLY: Final = 10
"""… or more, if making them would take more than a tenth of the time …"""
_MOST_BETWEEN: Final = 16 << 20
"""… but never more than this."""


@dataclass(frozen=True, slots=True)
class Resized:
    """From ``offset`` on the window has this size."""

    offset: int
    number: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Held:
    """From ``offset`` on a client's terminal answers what the program asks, or (``on`` false) this one does."""

    offset: int
    on: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """At ``offset`` somebody wants to know what shows."""

    offset: int
    answer: Callable[[Screen], None]


class Screen:
    """The screen of the session whose log is in ``folder``.

    ``replied`` is called with an offset and what the program is to be answered that asked before it.

    Attributes:
        offset: what was written before is on the screen.
        end: up to where the log may be read.
        missing: bytes that were asked for and that the log had no more.
        loaded: whether it is in memory; `advance` and `emulator` see to it, `unload` ends it.
    """

    def __init__(
        self, folder: Path, size: tuple[int, int], answered: int | None, replied: Callable[[int, bytes], None]
    ) -> None:
        self.folder = folder
        self._start = size
        self._log = StoredTerminal(folder)
        self._replied = replied
        self._held = answered is None
        self._answered = answered or 0
        self._emulator: Emulator | None = None
        self._sizes: list[Resized] = []
        self._events: deque[Resized | Held | Asked] = deque()
        self._saved_at = self._number = 0
        self._cost = 0.0
        self._save_after = 0.0
        self.offset = self.end = self.missing = 0

    # what the core says

    def note(self, event: Resized | Held | Asked) -> None:
        """Something that counts from an offset on; they take effect in the order in which they are noted."""
        self._events.append(event)
        if isinstance(event, Resized):
            self._sizes.append(event)

    @property
    def asked(self) -> bool:
        """Whether somebody waits for an answer."""
        return any(isinstance(event, Asked) for event in self._events)

    @property
    def behind(self) -> bool:
        """Whether there is something to do."""
        return self.offset < self.end or bool(self._events)

    @property
    def loaded(self) -> bool:
        return self._emulator is not None

    @property
    def emulator(self) -> Emulator:
        """The terminal; from its checkpoint when it was not in memory."""
        if self._emulator is None:
            self._emulator = self._load()
        return self._emulator

    def _load(self) -> Emulator:
        checkpoint = load(self.folder)
        if checkpoint is None or checkpoint.offset > self.end:
            rows, columns = _clamped(*self._start)
            emulator = Emulator(columns, rows, SCROLLBACK)
            self.offset = self._number = 0
        else:
            emulator = Emulator(checkpoint.columns, checkpoint.rows, SCROLLBACK)
            emulator.feed(checkpoint.dump)
            emulator.take_replies()
            self.offset, self._number = checkpoint.offset, checkpoint.number
        self._saved_at = self.offset
        # sizes that a checkpoint of another life has not seen come again, in their places
        again = [size for size in self._sizes if size.number > self._number]
        rest = [event for event in self._events if not isinstance(event, Resized)]
        self._events = deque(sorted([*again, *rest], key=_offset)) if again else deque(rest)
        return emulator

    # moving along

    def advance(self) -> bool:
        """Take what is due next: an event, or a slice of the log. Whether the screen may have changed."""
        emulator = self.emulator
        if self._events and self._events[0].offset <= self.offset:
            return self._take(self._events.popleft(), emulator)
        stop = min(self.end, self._events[0].offset) if self._events else self.end
        if self.offset < self._answered:  # so that no slice is answered in part
            stop = min(stop, self._answered)
        start, data = self._log.read(self.offset, min(stop, self.offset + _SLICE))
        if start > self.offset:
            self.missing += start - self.offset
            emulator.feed(b"\x18")  # the end of what the missing bytes may have cut in two
            self.offset = min(start, stop)
            data = data[: max(0, stop - start)]
        try:
            emulator.feed(data)
        except Exception:
            # one program's screen, whatever it found, and not those of all others
            log.exception("a fault of ours on the screen in %s", self.folder)
            self._emulator = Emulator(emulator.columns, emulator.rows, SCROLLBACK)
        begin, self.offset = self.offset, self.offset + len(data)
        self._answer(begin, self.emulator.take_replies())
        if self._due():
            self.save()
        return True

    def _take(self, event: Resized | Held | Asked, emulator: Emulator) -> bool:
        if isinstance(event, Resized):
            rows, columns = _clamped(event.rows, event.columns)
            emulator.resize(columns, rows)
            self._number = event.number
            return True
        if isinstance(event, Held):
            self._held = event.on
            self._answered = max(self._answered, event.offset)
        else:
            event.answer(self)
        return False

    def _answer(self, begin: int, replies: bytes) -> None:
        if replies and not self._held and begin >= self._answered:
            self._answered = self.offset
            self._replied(self.offset, replies)

    # checkpoints

    def checkpoint(self) -> Checkpoint:
        """What shows now."""
        emulator = self.emulator
        return Checkpoint(self.offset, self._number, emulator.rows, emulator.columns, emulator.dump())

    def _due(self) -> bool:
        since = self.offset - self._saved_at
        return since >= _BETWEEN and (since >= _MOST_BETWEEN or time.monotonic() >= self._save_after)

    def save(self) -> None:
        """Leave a checkpoint. A full disk keeps the one before."""
        begun = time.monotonic()
        try:
            save(self.folder, self.checkpoint())
        except OSError as error:
            log.warning("no checkpoint in %s: %s", self.folder, error)
        else:
            self._sizes = [size for size in self._sizes if size.number > self._number]
        now = time.monotonic()
        self._saved_at = self.offset
        self._save_after = now + _COSTLY * (now - begun)

    def unload(self) -> None:
        """Out of memory, into a checkpoint."""
        if self._emulator is not None and self.folder.exists():
            self.save()
        self._emulator = None


def _clamped(rows: int, columns: int) -> tuple[int, int]:
    return max(1, min(rows, MAX_SIDE)), max(1, min(columns, MAX_SIDE))


def _offset(event: Resized | Held | Asked) -> int:
    return event.offset
