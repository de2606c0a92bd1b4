"""What a copy left out, told within bounds: a sandbox may make it as much as it likes."""

from __future__ import annotations

from typing import Final

_LINES: Final = 20
_CHARACTERS: Final = 500


class Skipped:
    """What was not copied.

    Attributes:
        lines: the first of it, with the reason, one line each.
        count: of all of it.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def add(self, what: str, why: str) -> None:
        """Count one thing, and keep a line about it, harmless on a terminal, while there are few."""
        self.count += 1
        if len(self.lines) < _LINES:
            line = f"{what}: {why}"[:_CHARACTERS]
            self.lines.append("".join(char if char.isprintable() else "?" for char in line))
