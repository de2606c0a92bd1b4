"""The console, with every turn of its event loop timed: what holds the loop is what keeps the keyboard waiting.

``python bench/console/sliced.py FILE`` is ``sandtop`` that writes the longest slices to FILE on SIGUSR1 and at its end,
a line each: milliseconds of its own processor time, of the clock, and what it was.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import heapq
import itertools
import signal
import sys
import time
from pathlib import Path

KEPT = 4000


class Slices:
    """The longest slices, by processor time."""

    def __init__(self) -> None:
        self._longest: list[tuple[float, int, float, str]] = []
        self._count = itertools.count()

    def watch(self) -> None:
        run = asyncio.events.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            own, wall = time.thread_time(), time.monotonic()
            run(handle)
            spent = time.thread_time() - own
            entry = (spent, next(self._count), time.monotonic() - wall, "")
            if len(self._longest) < KEPT or spent > self._longest[0][0]:
                entry = (*entry[:3], name_of(handle))
                if len(self._longest) < KEPT:
                    heapq.heappush(self._longest, entry)
                else:
                    heapq.heapreplace(self._longest, entry)

        asyncio.events.Handle._run = timed  # type: ignore[method-assign, assignment]

    def write(self, path: Path) -> None:
        found = sorted(self._longest, reverse=True)
        lines = [f"{spent * 1e3:.1f} {wall * 1e3:.1f} {name}" for spent, _, wall, name in found]
        fresh = path.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n")
        fresh.replace(path)
        self._longest.clear()


def name_of(handle: asyncio.Handle) -> str:
    callback = handle._callback  # type: ignore[attr-defined]
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        return f"{task.get_name()} {task.get_coro()!r}"[:160]
    return repr(callback)[:160]


def main() -> int:
    slices, path = Slices(), Path(sys.argv.pop(1))
    slices.watch()
    signal.signal(signal.SIGUSR1, lambda _number, _frame: slices.write(path))
    from sandtop.tui.start import main as console

    code = console()
    slices.write(path)
    return code


if __name__ == "__main__":
    sys.exit(main())
