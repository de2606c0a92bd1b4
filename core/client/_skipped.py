"""What a copy left out, told within bounds: a sandbox may make it as much as it likes."""

from __future__ import annotations

from typing import Final

_LINES: Final = 20


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
        self.count += 1
        if len(self.lines) < _LINES:
            self.lines.append(f"{what}: {why}")
