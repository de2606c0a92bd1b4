"""Flow control of a terminal's output: the agent reads no further ahead than the screens can draw.

So a program writes as fast as its screen draws, as on any terminal. And the effect of a key shows at once, because
the output that is still to be drawn before it takes a screen a fraction of a second.
"""

from __future__ import annotations

from typing import Final

AHEAD: Final = {"worker": 1 << 20, "holder": 256 * 1024}
"""Bytes that output may be ahead of what the screen worker, and the client that holds the input, have drawn."""
REPORT: Final = 64 * 1024
"""Bytes after which at the latest each of them reports how far it is."""
SILENCE: Final = 3.0
"""Seconds without a report after which a screen is not waited for, so that a frozen client freezes no program."""


class FlowControl:
    """How far each screen of one terminal has drawn, and the limit that follows for the agent.

    The screens are the keys of `AHEAD`. Times are seconds of one monotonic clock.
    """

    __slots__ = ("_reached",)

    def __init__(self) -> None:
        self._reached: dict[str, tuple[int, float]] = {}

    def reached(self, who: str, offset: int, now: float) -> None:
        """``who`` has drawn what was written before ``offset``."""
        self._reached[who] = offset, now

    def gone(self, who: str) -> None:
        """``who`` is gone, and sets no limit any more."""
        self._reached.pop(who, None)

    def limit(self, end: int, wanted: int, now: float) -> int:
        """The offset, between ``end`` (of the log) and ``wanted``, up to which the agent may send."""
        for who, (offset, since) in self._reached.items():
            if end - offset <= REPORT:  # too little is left to draw for a report to be due: it is not silent
                self._reached[who] = offset, now
            elif now - since >= SILENCE:
                continue
            wanted = min(wanted, offset + AHEAD[who])
        return max(end, wanted)

    def holds_back(self, end: int, wanted: int, now: float) -> float | None:
        """When the limit rises without a report, because a screen is silent for too long; None when none is waited for.

        The arguments are those of `limit`.
        """
        times = [
            since + SILENCE
            for who, (offset, since) in self._reached.items()
            if end - offset > REPORT and now - since < SILENCE and max(end, offset + AHEAD[who]) < wanted
        ]
        return min(times, default=None)
