"""What host and sandboxes use, by the core's word: its latest sample, and a line of what was before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.client.sdk import HostHistory, HostStats, Sample, SandboxHistory, SandboxStats

STEP_SECONDS: Final = 30.0
"""Seconds that a cell of a line stands for …"""
CELLS: Final = 20
"""… and how many a line has: ten minutes."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a sandbox uses.

    Attributes:
        stats: the core's latest sample, or None.
        line: its processors in percent of one, a value for each `STEP_SECONDS`, the newest last.
    """

    stats: SandboxStats | None = None
    line: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class HostUsage:
    """What the host has: the core's latest sample, and a line of its processors, as `Usage` has it."""

    stats: HostStats | None = None
    line: tuple[float, ...] = ()


NO_USAGE: Final = Usage()
NO_HOST_USAGE: Final = HostUsage()
"""What is known before the first sample."""


@dataclass(slots=True)
class _Line:
    """A line that grows: the mean of each step's samples."""

    values: list[float] = field(default_factory=list[float])
    began: float = 0.0
    total: float = 0.0
    count: int = 0

    def begin(self, values: Sequence[float | None], at: float) -> None:
        self.values = [value or 0.0 for value in values][-CELLS:]
        self.began, self.total, self.count = at, 0.0, 0

    def add(self, value: float, at: float) -> tuple[float, ...]:
        if at - self.began >= STEP_SECONDS:
            if self.count:
                self.values = [*self.values, self.total / self.count][-CELLS + 1 :]
            self.began, self.total, self.count = at, 0.0, 0
        self.total += value
        self.count += 1
        return (*self.values[-CELLS + 1 :], self.total / self.count)


class Usages:
    """The latest of each sandbox, by its uuid.

    Attributes:
        host: that of the host.
    """

    def __init__(self) -> None:
        self.host = NO_HOST_USAGE
        self._known: dict[str, Usage] = {}
        self._lines: dict[str, _Line] = {}
        self._host_line = _Line()

    def of(self, uuid: str) -> Usage:
        """What a sandbox uses."""
        return self._known.get(uuid, NO_USAGE)

    def take_history(self, history: HostHistory | SandboxHistory) -> None:
        """Take what was used before the first sample."""
        newest = history.at[-1] if history.at else 0.0
        if (uuid := getattr(history, "uuid", None)) is None:
            self._host_line.begin(history.cpu, newest)
        else:
            self._lines.setdefault(str(uuid), _Line()).begin(history.cpu, newest)

    def take_sample(self, sample: Sample) -> None:
        """Take what is used now. A sandbox that it does not have is forgotten."""
        known: dict[str, Usage] = {}
        for stats in sample.sandboxes:
            line = self._lines.setdefault(stats.uuid, _Line())
            known[stats.uuid] = Usage(stats, line.add(stats.cpu or 0.0, sample.at))
        self._known = known
        self._lines = {uuid: line for uuid, line in self._lines.items() if uuid in known}
        self.host = HostUsage(sample.host, self._host_line.add(sample.host.cpu or 0.0, sample.at))
