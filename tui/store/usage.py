"""What a sandbox uses of the host: processor time and memory of its machine's process, read from /proc (proc(5))."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

HISTORY: Final = 24
"""Samples kept for a sparkline."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """``cpu``: percent of one core; ``memory``: resident bytes. Sample by sample, the newest last."""

    cpu: tuple[float, ...] = ()
    memory: tuple[float, ...] = ()


class ProcessUsage:
    """Samples processes by pid, and keeps their last `HISTORY` samples. A pid that is left out once is forgotten."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._last: dict[int, tuple[float, int]] = {}
        self._known: dict[int, Usage] = {}

    def sample(self, pids: set[int], now: float) -> dict[int, Usage]:
        """Take a sample of each of ``pids`` that is alive; returns it with those before."""
        known: dict[int, Usage] = {}
        last: dict[int, tuple[float, int]] = {}
        for pid in pids:
            read = self._read(pid)
            if read is None:
                continue
            ticks, resident = read
            before = self._known.get(pid, Usage())
            cpu = before.cpu
            if (previous := self._last.get(pid)) is not None and now > previous[0]:
                percent = (ticks - previous[1]) / _TICKS / (now - previous[0]) * 100
                cpu = (*cpu[-HISTORY + 1 :], max(0.0, percent))
            last[pid] = (now, ticks)
            known[pid] = Usage(cpu, (*before.memory[-HISTORY + 1 :], float(resident)))
        self._known, self._last = known, last
        return known

    def _read(self, pid: int) -> tuple[int, int] | None:
        """Ticks of processor time and resident bytes, or None when the process is gone."""
        try:
            with open(f"{self._proc}/{pid}/stat", "rb", buffering=0) as file:
                # the name, field 2, is in parentheses and may hold anything; utime and stime are 14 and 15, rss 24
                fields = file.read(4096).rpartition(b")")[2].split()
            return int(fields[11]) + int(fields[12]), int(fields[21]) * _PAGE
        except (OSError, IndexError, ValueError):
            return None
