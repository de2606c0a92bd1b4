"""What the console has to say: what is going on, how it came out, and errors, which stay until they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["progress", "done", "note", "error"]
DONE_SECONDS: Final = 6.0
_MAX: Final = 50


@dataclass(slots=True)
class Notice:
    """One thing said. An error waits for somebody to dismiss it."""

    kind: Kind
    text: str
    at: float
    hint: str = ""
    """What to press while it shows."""


class Notices:
    """All that is said at present."""

    def __init__(self) -> None:
        self._notices: list[Notice] = []

    def progress(self, text: str, now: float) -> Notice:
        """Something began; change the notice's text as it goes on, and `settle` it."""
        notice = Notice("progress", text, now)
        self._notices.append(notice)
        del self._notices[:-_MAX]
        return notice

    def done(self, text: str, now: float) -> None:
        self._pass_by(Notice("done", text, now))

    def note(self, text: str, now: float) -> Notice:
        """Something that is no outcome; `settle` it when it is not so any more."""
        return self._pass_by(Notice("note", text, now))

    def _pass_by(self, notice: Notice) -> Notice:
        """Say something that goes away by itself, also while an error covers it."""
        self._forget_old(notice.at)
        self._notices.append(notice)
        return notice

    def _forget_old(self, now: float) -> None:
        self._notices = [
            notice
            for notice in self._notices
            if notice.kind in ("error", "progress") or now - notice.at < DONE_SECONDS
        ]

    def error(self, text: str, now: float) -> Notice:
        """One that is there already is not said twice; `settle` it when there is nothing left to read."""
        for notice in self._notices:
            if notice.kind == "error" and notice.text == text:
                return notice
        notice = Notice("error", text, now, hint="esc: read")
        self._notices.append(notice)
        del self._notices[:-_MAX]
        return notice

    def settle(self, notice: Notice) -> None:
        """It is over; how it came out is said by `done` or `error`."""
        self._notices = [one for one in self._notices if one is not notice]

    def says(self, notice: Notice) -> bool:
        """Whether it is neither settled nor dismissed."""
        return any(one is notice for one in self._notices)

    def dismiss(self) -> bool:
        """The error that shows was read; False when there was none."""
        errors = [notice for notice in self._notices if notice.kind == "error"]
        if errors:
            self._notices.remove(errors[0])
        return bool(errors)

    def current(self, now: float) -> tuple[Notice, int] | None:
        """What to show now and how many more like it wait: the oldest error, else what goes on, else what came out."""
        for kind in ("error", "progress"):
            found = [notice for notice in self._notices if notice.kind == kind]
            if found:
                return found[0], len(found) - 1
        self._forget_old(now)
        return (self._notices[-1], 0) if self._notices else None
