"""How far the agent may read a terminal's output: no further than its screens can follow.

As on any terminal a program then goes as fast as its screen, and what one types takes effect at once: behind a key
there is never more to be drawn than a screen takes in a fraction of a second.
"""

from __future__ import annotations

from typing import Final

AHEAD: Final = {"worker": 1 << 20, "holder": 256 * 1024}
"""Bytes that output may be ahead of the screen worker, and of what the holder of the input has drawn."""
REPORT: Final = 64 * 1024
"""Bytes after which at the latest they say how far they are."""
SILENCE: Final = 3.0
"""Seconds without a word after which somebody is not waited for: a frozen client freezes no program."""


class FlowControl:
    """The bounds of one terminal, by who sets them: a key of `AHEAD`. Times are seconds of one monotonic clock."""

    __slots__ = ("_reached",)

    def __init__(self) -> None:
        self._reached: dict[str, tuple[int, float]] = {}

    def reached(self, who: str, offset: int, now: float) -> None:
        """``who`` has come to ``offset``."""
        self._reached[who] = offset, now

    def gone(self, who: str) -> None:
        """``who`` is there no more."""
        self._reached.pop(who, None)

    def limit(self, end: int, wanted: int, now: float) -> int:
        """The offset, between ``end`` (of the log) and ``wanted``, up to which the agent may send."""
        for who, (offset, since) in self._reached.items():
            if end - offset <= REPORT:  # it has nothing to say
                self._reached[who] = offset, now
            elif now - since >= SILENCE:
                continue
            wanted = min(wanted, offset + AHEAD[who])
        return max(end, wanted)

    def holds_back(self, end: int, wanted: int, now: float) -> float | None:
        """When the limit may rise by time alone; None when nobody keeps it below ``wanted``."""
        times = [
            since + SILENCE
            for who, (offset, since) in self._reached.items()
            if end - offset > REPORT and now - since < SILENCE and max(end, offset + AHEAD[who]) < wanted
        ]
        return min(times, default=None)
