"""What the console says to the operator in the line above the keys: progress, outcomes, notes, and errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["progress", "done", "note", "error"]
DONE_SECONDS: Final = 6.0
"""How long an outcome or a note shows."""
_MAX: Final = 50
"""Notices that are kept; of more the oldest go."""


@dataclass(slots=True)
class Notice:
    """One of them. ``at``: when it was said. An error stays until it is dismissed, progress until it is settled."""

    kind: Kind
    text: str
    at: float
    hint: str = ""
    """Which key does something about it."""


class Notices:
    """All notices that are due, of which one shows."""

    def __init__(self) -> None:
        self._notices: list[Notice] = []

    def progress(self, text: str, now: float) -> Notice:
        """Something began. The caller may change the notice's text as it goes on, and calls `settle` at its end."""
        notice = Notice("progress", text, now)
        self._notices.append(notice)
        del self._notices[:-_MAX]
        return notice

    def done(self, text: str, now: float) -> None:
        """Something has come to a good end."""
        self._pass_by(Notice("done", text, now))

    def note(self, text: str, now: float) -> Notice:
        """Anything else worth a line. The caller may `settle` it as soon as it is no longer true."""
        return self._pass_by(Notice("note", text, now))

    def _pass_by(self, notice: Notice) -> Notice:
        """Add one whose time runs out, also while an error shows in its place."""
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
        """Something went wrong. The same text is not added twice: then the one that is there comes back.

        The caller may `settle` it as soon as it is no longer true.
        """
        for notice in self._notices:
            if notice.kind == "error" and notice.text == text:
                return notice
        notice = Notice("error", text, now, hint="esc: read")
        self._notices.append(notice)
        del self._notices[:-_MAX]
        return notice

    def settle(self, notice: Notice) -> None:
        """Take ``notice`` away."""
        self._notices = [one for one in self._notices if one is not notice]

    def says(self, notice: Notice) -> bool:
        """Whether ``notice`` was neither settled nor dismissed."""
        return any(one is notice for one in self._notices)

    def dismiss(self) -> bool:
        """Take the error away that shows; False when there was none."""
        errors = [notice for notice in self._notices if notice.kind == "error"]
        if errors:
            self._notices.remove(errors[0])
        return bool(errors)

    def current(self, now: float) -> tuple[Notice, int] | None:
        """What to show at ``now``, and how many more of its kind wait behind it; None when there is nothing to say.

        The oldest error comes first, then the oldest progress, then the newest outcome or note.
        """
        for kind in ("error", "progress"):
            found = [notice for notice in self._notices if notice.kind == kind]
            if found:
                return found[0], len(found) - 1
        self._forget_old(now)
        return (self._notices[-1], 0) if self._notices else None
