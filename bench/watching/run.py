"""``just bench watching``: what sampling costs: idle sandboxes with it and without, and while somebody looks.

    python bench/watching/run.py [--sandboxes N] [--seconds N] [--turns N]

Cores of three kinds take turns over the same machines, which go on meanwhile: one that samples, one that does not (its
ticks are off, and its pings ask for nothing), and one that samples while a client follows the stats of all sandboxes.
Of each turn: percent of a processor that a machine takes, by the median of the turns, and that the core takes.
The goal: sampling costs a sandbox less than 0.1 % of a processor.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from sandtop.core.client.link import call_running, stop_core
from sandtop.core.contract.core import Status
from sandtop.core.errors import SandtopError
from sandtop.sync import Sandbox

sys.path.insert(0, str(Path(__file__).parents[2]))  # this is run as a script, and imports what lies beside it

from bench.processes import cpu_seconds

GOAL: Final = 0.1
_SETTLE: Final = 12.0
"""Seconds between a core's start and the measurement: it adopts, and its first pings are over."""
_SERVE: Final = "from sandtop.core.daemon.app import serve; raise SystemExit(serve(None))"
_WITHOUT: Final = """
import trio
from sandtop.core.channel.link import AgentLink
from sandtop.core.fleet.watch.watch import Watch

ask = AgentLink._ask

async def ask_nothing(self, key, message, deadline):
    return await ask(self, key, {name: value for name, value in message.items() if name != "usage"}, deadline)

AgentLink._ask = ask_nothing
Watch.run = lambda self: trio.sleep_forever()
"""
MODES: Final = ("off", "on", "followed")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sandboxes", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    home = os.environ.get("SANDTOP_HOME")
    with tempfile.TemporaryDirectory(prefix="st-") as folder:
        if home is not None:
            os.symlink(Path(home) / "cache", Path(folder) / "cache")
        os.environ["SANDTOP_HOME"] = folder
        try:
            boxes = [Sandbox.create(f"b{number}", memory=128) for number in range(options.sandboxes)]
            print(f"{len(boxes)} sandboxes run", flush=True)
            pids = [pid for box in boxes if (pid := box.refresh().pid) is not None]
            stop_core()
            _measure(pids, options.turns, options.seconds)
        finally:
            with suppress(SandtopError):
                stop_core(machines=True)


def _measure(pids: list[int], turns: int, seconds: float) -> None:
    machines: dict[str, list[float]] = {mode: [] for mode in MODES}
    cores: dict[str, list[float]] = {mode: [] for mode in MODES}
    for turn in range(turns):
        for mode in MODES if turn % 2 == 0 else MODES[::-1]:
            its, core = _turn(mode, pids, seconds)
            machines[mode].append(its)
            cores[mode].append(core)
            print(f"turn {turn + 1}, {mode}: {its:.3f} % a sandbox, core {core:.2f} %", flush=True)
    middle = {mode: statistics.median(values) for mode, values in machines.items()}
    for mode in MODES:
        print(f"{mode:<9} {middle[mode]:.3f} % a sandbox, core {statistics.median(cores[mode]):.2f} %")
    costs = middle["on"] - middle["off"]
    print(
        f"sampling costs {costs:+.3f} % of a processor a sandbox (goal: below {GOAL} %), while it is looked at"
    )
    print(f"  {middle['followed'] - middle['off']:+.3f} %")


def _turn(mode: str, pids: list[int], seconds: float) -> tuple[float, float]:
    """Percent of a processor: a machine, by their mean, and the core."""
    code = _WITHOUT + _SERVE if mode == "off" else _SERVE
    looking: subprocess.Popen[bytes] | None = None
    core = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        while (status := call_running(Status(), wait=30.0)) is None or status.pid != core.pid:
            time.sleep(0.1)
        if mode == "followed":
            looking = subprocess.Popen(
                [sys.executable, "-m", "sandtop", "stats", "-f", "--json"], stdout=subprocess.DEVNULL
            )
        time.sleep(_SETTLE)
        begun, before = time.monotonic(), [cpu_seconds(pid) for pid in [core.pid, *pids]]
        time.sleep(seconds)
        taken = [cpu_seconds(pid) - earlier for pid, earlier in zip([core.pid, *pids], before, strict=True)]
        percent = 100 / (time.monotonic() - begun)
        return statistics.mean(taken[1:]) * percent, taken[0] * percent
    finally:
        for process in (looking, core):
            if process is not None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)


if __name__ == "__main__":
    main()
