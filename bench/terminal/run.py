"""How fast the emulator reads, in MB/s, beside pyte's own screens and a tmux that is attached to a drained terminal.

Run ``python bench/terminal/run.py``. All contenders get the same bytes in the same chunks, in one run, in turn; each
figure is the median of several rounds. Ratios mean more than figures. ``seen`` is our emulator when a viewer reads
every changed row after each 8 KiB, so that nothing stays raw.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyte

from sandtop.core.terminal import Emulator

sys.path.insert(0, str(Path(__file__).parents[2]))  # this is run as a script, and imports what lies beside it

from bench.terminal.tmux import Attached
from bench.terminal.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 1 << 16
LOOK = 1 << 13
SIZES = ((80, 24), (200, 50))

# Goals at 80×24: times HistoryScreen(1000), times tmux.
GOALS = {
    "plain": (40, 0.3), "log": (30, 0.3), "sgr": (6, 0.15), "redraw": (8, 0.15), "unicode": (6, 0.15), "flood": (40, 1),
}  # fmt: skip
# pyte gets as much as it reads in about a second.
SHORTER = {"screen": 6, "history": 20}
ROUNDS = 3


def ours(columns: int, rows: int, data: bytes) -> None:
    emulator = Emulator(columns, rows, 1000)
    for at in range(0, len(data), CHUNK):
        emulator.feed(data[at : at + CHUNK])
    emulator.text()


def seen(columns: int, rows: int, data: bytes) -> None:
    emulator = Emulator(columns, rows, 1000)
    for at in range(0, len(data), LOOK):
        emulator.feed(data[at : at + LOOK])
        for row in emulator.dirty:
            emulator.cells(row)
        emulator.dirty.clear()


def screen(columns: int, rows: int, data: bytes) -> None:
    _pyte(pyte.Screen(columns, rows), data)


def history(columns: int, rows: int, data: bytes) -> None:
    _pyte(pyte.HistoryScreen(columns, rows, history=1000), data)


def _pyte(screen: pyte.Screen, data: bytes) -> None:
    stream = pyte.ByteStream(screen)
    for at in range(0, len(data), CHUNK):
        stream.feed(data[at : at + CHUNK])


def speed(run: Callable[[int, int, bytes], None], columns: int, rows: int, data: bytes) -> float:
    """MB/s of one run."""
    start = time.perf_counter()
    run(columns, rows, data)
    return len(data) / (time.perf_counter() - start) / 1e6


def measure(columns: int, rows: int, data: bytes, with_tmux: bool) -> dict[str, float]:
    """The median speed of each contender, which take turns."""
    speeds: dict[str, list[float]] = {}
    attached = Attached(columns, rows) if with_tmux else None
    try:
        for _ in range(ROUNDS):
            for run in (ours, seen, screen, history):
                part = data[: len(data) // SHORTER.get(run.__name__, 1)]
                speeds.setdefault(run.__name__, []).append(speed(run, columns, rows, part))
            if attached:
                speeds.setdefault("tmux", []).append(len(data) / attached.run(data) / 1e6)
    finally:
        if attached:
            attached.close()
    return {name: statistics.median(values) for name, values in speeds.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=2, help="of each workload (2)")
    parser.add_argument("--no-tmux", action="store_true")
    parser.add_argument("workload", nargs="*", choices=[*WORKLOADS, []], help="only these")
    options = parser.parse_args()
    print("MB/s, and the ratio (goal at 80x24)")
    print(f"{'size':8}{'workload':9}{'ours':>8}{'seen':>8}{'Screen':>8}{'History':>9}{'tmux':>8}", end="")
    print("   vs History      vs tmux")
    for columns, rows in SIZES:
        for name in options.workload or WORKLOADS:
            data = WORKLOADS[name](int(options.megabytes * 1e6), columns, rows)
            found = measure(columns, rows, data, not options.no_tmux)
            tmux = found.get("tmux", float("nan"))
            goal_history, goal_tmux = GOALS[name] if (columns, rows) == SIZES[0] else ("-", "-")
            print(
                f"{f'{columns}x{rows}':8}{name:9}{found['ours']:8.2f}{found['seen']:8.2f}{found['screen']:8.3f}"
                f"{found['history']:9.3f}{tmux:8.2f}"
                f"   {found['ours'] / found['history']:6.0f}x ({goal_history})"
                f"   {found['ours'] / tmux:6.2f}x ({goal_tmux})",
                flush=True,
            )


if __name__ == "__main__":
    main()
