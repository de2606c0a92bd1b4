"""One session's screen in the screen worker: drawn from a checkpoint and the log that follows it."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from sandtop.core.screens.limits import TooSlow, processor_time
from sandtop.core.screens.look import look
from sandtop.core.session_folder import MOST_BYTES, Checkpoint, StoredTerminal, TooLarge, load, save
from sandtop.core.terminal import SCROLLBACK, Emulator, fitting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_T = TypeVar("_T")

log = logging.getLogger(__name__)
_SLICE: Final = 32 * 1024
_SLICE_SECONDS: Final = 0.02
"""Bytes drawn at a time, and the processor time after which drawing pauses, so that other screens have their turn."""
_MOST_SECONDS: Final = 2.0
"""Seconds of processor time for one step. A screen that needs more is set aside …"""
_ASIDE: Final = (5.0, 600.0)
"""… for so many seconds the first time, then twice as long each time, up to so many."""
_NOTICE: Final = (
    "\x1b[7m sandtop left out output that took too long to draw \x1b[m\r\n"
    "What comes next is drawn from here on; ctrl-l or a new window size makes\r\n"
    "most programs draw their screen anew.\r\n"
)
_BETWEEN: Final = 1 << 20
"""Bytes of output from one checkpoint to the next …"""
_COSTLY: Final = 10
"""… or more, so that checkpoints take no more than a tenth of the worker's time …"""
_MOST_BETWEEN: Final = 16 << 20
"""… but never more bytes than this."""


@dataclass(frozen=True, slots=True)
class Resized:
    """From ``offset`` on the window has this size, the ``number``-th (`sandtop.core.sessions.tty.Size`)."""

    offset: int
    number: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class AnswererChanged:
    """From ``offset`` on a client's terminal answers what the program asks; with ``client`` false, the worker does."""

    offset: int
    client: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """``answer`` is to be called with the screen as it is at ``offset``."""

    offset: int
    answer: Callable[[DrawnScreen], None]


class DrawnScreen:
    """The screen of the session whose log is in ``folder``; ``size`` is its first size, rows and columns.

    When the program asks its terminal something, and no client answers, ``replied`` is called with an offset and the
    answer to what was asked before it. ``answered`` is the offset up to which all was answered before; None while a
    client answers.

    Attributes:
        offset: output before this offset is drawn.
        end: the offset up to which the log may be read.
        missing: bytes that were to be drawn and that the log no longer had.
        skipped: bytes that were left out because they took too long to draw.
        loaded: whether the emulator is in memory: `advance` and `emulator` load it, `unload` drops it.
    """

    def __init__(
        self,
        folder: Path,
        size: tuple[int, int],
        answered: int | None,
        replied: Callable[[int, bytes], None],
        *,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """``most_bytes`` is the largest checkpoint that may be left in ``folder``."""
        self.folder = folder
        self._most_bytes = most_bytes
        self._rest = b""
        self._aside_until = self._aside_since = 0.0
        self._aside_seconds = 0.0
        self._start = size
        self._log = StoredTerminal(folder)
        self._replied = replied
        self._client_answers = answered is None
        self._answered = answered or 0
        self._emulator: Emulator | None = None
        self._sizes: list[Resized] = []
        self._events: deque[Resized | AnswererChanged | Asked] = deque()
        self._saved_at = self._number = 0
        self._cost = 0.0
        self._save_after = 0.0
        self.offset = self.end = self.missing = self.skipped = 0

    # what the core says

    def note(self, event: Resized | AnswererChanged | Asked) -> None:
        """Note something that takes effect at an offset. Events take effect in the order in which they are noted."""
        self._events.append(event)
        if isinstance(event, Resized):
            self._sizes.append(event)

    @property
    def asked(self) -> bool:
        """Whether somebody waits to be told what shows."""
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
        """The emulator, loaded from its checkpoint when it was not in memory."""
        emulator = self._begun()
        while self._rest:
            self._load_more(emulator)
        return emulator

    def _begun(self) -> Emulator:
        """The emulator, when part of its checkpoint, `_rest`, may still have to be fed to it."""
        if self._emulator is None:
            self._emulator = self._load()
        return self._emulator

    def _load_more(self, emulator: Emulator) -> None:
        self._rest = self._rest[emulator.feed(self._rest, _SLICE_SECONDS) :]
        emulator.take_replies()

    def _load(self) -> Emulator:
        checkpoint = load(self.folder)
        if checkpoint is None or checkpoint.offset > self.end:
            rows, columns = fitting(*self._start)
            emulator = Emulator(columns, rows, SCROLLBACK)
            self.offset = self._number = 0
        else:
            emulator = Emulator(checkpoint.columns, checkpoint.rows, SCROLLBACK)
            self._rest = checkpoint.dump
            self.offset, self._number = checkpoint.offset, checkpoint.number
        self._saved_at = self.offset
        # sizes that are newer than the checkpoint take effect again, each at its offset
        again = [size for size in self._sizes if size.number > self._number]
        rest = [event for event in self._events if not isinstance(event, Resized)]
        self._events = deque(sorted([*again, *rest], key=_offset)) if again else deque(rest)
        return emulator

    # moving along

    def advance(self) -> bool:
        """Do what is next: feed a slice of the checkpoint, or let an event take effect, or draw a slice of the log.

        Returns whether the screen may have changed.
        """
        emulator = self._begun()
        if self._rest:
            self._guarded(self._load_more)
            return False
        if self._skips():
            return True
        if self._events and self._events[0].offset <= self.offset:
            return self._take(self._events.popleft())
        stop = min(self.end, self._events[0].offset) if self._events else self.end
        if (
            self.offset < self._answered
        ):  # a slice ends there, so that it is answered as a whole or not at all
            stop = min(stop, self._answered)
        start, data = self._log.read(self.offset, min(stop, self.offset + _SLICE))
        if start > self.offset:
            self.missing += start - self.offset
            emulator.feed(b"\x18")  # CAN ends a control sequence that the missing bytes may have cut in two
            self.offset = min(start, stop)
            data = data[: max(0, stop - start)]
        taken = self._guarded(lambda emulator: emulator.feed(data, _SLICE_SECONDS))
        if taken is not None:
            begin, self.offset = self.offset, self.offset + taken
            self._answer(begin, self.emulator.take_replies())
        if self._due():
            self.save()
        return True

    def _take(self, event: Resized | AnswererChanged | Asked) -> bool:
        if isinstance(event, Resized):
            rows, columns = fitting(event.rows, event.columns)
            self._number = event.number
            self._guarded(lambda emulator: emulator.resize(columns, rows))
            return True
        if isinstance(event, AnswererChanged):
            self._client_answers = event.client
            self._answered = max(self._answered, event.offset)
        else:
            event.answer(self)
        return False

    def _answer(self, begin: int, replies: bytes) -> None:
        if replies and not self._client_answers and begin >= self._answered:
            self._answered = self.offset
            self._replied(self.offset, replies)

    # what takes too long

    def _guarded(self, work: Callable[[Emulator], _T]) -> _T | None:
        """What ``work`` returns. When it fails or takes too long the screen is set aside, and None returned."""
        emulator = self._begun()
        try:
            with processor_time(_MOST_SECONDS):
                return work(emulator)
        except TooSlow as error:
            why = str(error)
        except Exception:
            # a fault in our own code that a program has found costs its screen, and not those of all others
            log.exception("a fault of ours on the screen in %s", self.folder)
            why = "of a fault of ours"
        self.set_aside(why)
        return None

    def set_aside(self, why: str) -> None:
        """Skip what the program writes for some seconds, then draw on. The screen says that output was left out.

        A checkpoint is written behind what was skipped, so that the next worker does not draw it either.
        """
        now = time.monotonic()
        shortest, longest = _ASIDE
        again = self._aside_seconds if now - self._aside_since < 2 * longest else 0
        self._aside_seconds = min(max(shortest, 2 * again), longest)
        self._aside_since, self._aside_until = now, now + self._aside_seconds
        log.error(
            "the screen in %s is set aside for %g s, at offset %d, because %s",
            self.folder, self._aside_seconds, self.offset, why,
        )  # fmt: skip
        rows, columns = (
            (self._emulator.rows, self._emulator.columns) if self._emulator else fitting(*self._start)
        )
        self._rest = b""
        self._emulator = Emulator(columns, rows, SCROLLBACK)
        self._emulator.feed(_NOTICE.encode())
        self._skips()
        self._write(Checkpoint(self.offset, self._number, rows, columns, self._emulator.dump()))

    def _skips(self) -> bool:
        """While the screen is set aside, skip all output that there is; whether there was any."""
        if self.offset >= self.end or time.monotonic() >= self._aside_until:
            return False
        self.skipped += self.end - self.offset
        self.offset = self.end
        return True

    # what shows now

    def checkpoint(self) -> Checkpoint:
        """What shows now."""
        dump = self._guarded(lambda emulator: emulator.dump(self._most_bytes))
        emulator = self._begun()
        if dump is None:
            dump = emulator.dump()
        return Checkpoint(self.offset, self._number, emulator.rows, emulator.columns, dump)

    def look(self, *, scrollback: bool, ansi: bool) -> dict[str, object]:
        """What shows now, as `sandtop.core.screens.look.look` returns it, with `offset`, `missing` and `skipped`."""
        seen = self._guarded(lambda emulator: look(emulator, scrollback=scrollback, ansi=ansi))
        if seen is None:
            seen = look(self._begun(), scrollback=scrollback, ansi=ansi)
        return seen | {"offset": self.offset, "missing": self.missing, "skipped": self.skipped}

    # checkpoints

    def _due(self) -> bool:
        since = self.offset - self._saved_at
        return since >= _BETWEEN and (since >= _MOST_BETWEEN or time.monotonic() >= self._save_after)

    def save(self) -> None:
        """Write a checkpoint. When the disk is full, or it would be too large, the one before stays."""
        begun = time.monotonic()
        self._write(self.checkpoint())
        now = time.monotonic()
        self._save_after = now + _COSTLY * (now - begun)

    def _write(self, checkpoint: Checkpoint) -> None:
        self._saved_at = checkpoint.offset
        try:
            save(self.folder, checkpoint, self._most_bytes)
        except (OSError, TooLarge) as error:
            log.warning("no checkpoint in %s: %s", self.folder, error)
        else:
            self._sizes = [size for size in self._sizes if size.number > self._number]

    def unload(self) -> None:
        """Write a checkpoint and drop the emulator from memory."""
        if self._emulator is not None and self.folder.exists():
            self.save()
        self._emulator, self._rest = None, b""


def _offset(event: Resized | AnswererChanged | Asked) -> int:
    return event.offset
