"""What sandtop wants to reach under emulation, as ratios to a peer that is measured in the same run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Goal:
    """``what`` takes at most ``bound`` times as long as by ``than``; with ``at_least`` it is as many times as fast."""

    what: str
    than: str
    bound: float
    at_least: bool = False

    def met(self, ratio: float) -> bool:
        return ratio >= self.bound if self.at_least else ratio <= self.bound

    @property
    def wanted(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"

    def verdict(self, ratio: float) -> str:
        return f"goal {self.wanted}   {'met' if self.met(ratio) else 'NOT met'}"


PYTHON: Final = Goal("exec python3 -c pass", "host's own", 8.0)
EXEC: Final = Goal("exec true", "qemu-ga", 0.8)
PROCESS: Final = Goal("whole process, exec true", "ssh, multiplexed", 1.0)
KEY: Final = Goal("key to echo", "ssh", 1.5)
STREAM: Final = Goal("stream through one more pipe", "ssh", 3.5, at_least=True)
CYCLE: Final = Goal("create, exec true, rm", "fresh ssh exec", 1.5)
AFTER_PYTHON: Final = Goal("memory after a python start", "80 MiB", 1.0)
AFTER_ALL: Final = Goal("memory after a day's work", "130 MiB", 1.0)
AS_BEFORE: Final = 1.1
"""How much worse than in the run before is still as good: two runs of one tree differ by as much."""
