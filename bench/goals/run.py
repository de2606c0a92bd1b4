"""``just bench goals``: each goal of speed, met or not, from one run of a few minutes.

    python bench/goals/run.py [--json FILE] [--before FILE]

Contenders take turns; figures are medians. A goal is a ratio to a peer in the same run: qemu-guest-agent and dropbear
in the same guest, or the same files run by the host's own kernel. With ``--before``, what another tree's run wrote
with ``--json``, each ratio stands beside that run's, and what is to be no worse than before is compared with it. To
measure another tree run this file by the Python of that tree's .venv. Needs Debian's openssh-client and squashfs-tools.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop import Sandbox
from sandtop.core.client.link import stop_core

sys.path.insert(0, str(Path(__file__).parents[2]))  # this is run as a script, and imports what lies beside it

from bench.attach.run import keys
from bench.exec.peers import IMAGE, GuestAgent, Peers, prepare, run
from bench.exec.run import STREAMS, Series, exec_true, stream, whole_process
from bench.goals import goals
from bench.python.host import Host
from bench.python.run import compare, memory, provide
from bench.start.run import Series as Cycles
from bench.start.run import cycle

if TYPE_CHECKING:
    from bench.goals.goals import Goal

_NAME: Final = "bench-goals"
_THROUGH: Final = STREAMS["stream, through cat"]
_MEGABYTES: Final = 60
_AFTER_TRUE: Final = "memory after true, MiB"

Row = tuple["Goal", float, float]
"""A goal, our figure, and the peer's."""


async def _in_a_guest(sandbox: Sandbox, peers: Peers, folder: Path, rounds: int) -> list[Row]:
    host = await asyncio.to_thread(Host.unpack, (await sandbox.inspect()).image_digest, folder / "root")
    await provide(sandbox, folder / "work")
    with GuestAgent(peers.qga_socket) as qga:
        execs = await exec_true(sandbox, qga, rounds, Series("ms"))
        starts = await compare(sandbox, peers, qga, host, "start", rounds // 2)
    whole = await asyncio.to_thread(whole_process, _NAME, peers, rounds)
    echoes = await asyncio.to_thread(keys, _NAME, peers, rounds * 2)
    streams = await stream(sandbox, peers, _THROUGH, _MEGABYTES)
    median = statistics.median
    return [
        (goals.PYTHON, median(starts["sandtop"]) * 1000, median(starts["host"]) * 1000),
        (goals.EXEC, execs.p50("sandtop"), execs.p50("qga")),
        (goals.PROCESS, whole.p50("sandtop"), whole.p50("ssh mux")),
        (goals.KEY, median(echoes["sandtop"]), median(echoes["ssh"])),
        (goals.STREAM, streams.p50("sandtop"), streams.p50("ssh")),
    ]


async def _cycles(peers: Peers, rounds: int) -> Row:
    await cycle(Cycles(list), None, cold=False)  # prepares the template
    series, ssh = Cycles(list), Cycles(list)
    for _ in range(rounds):
        await cycle(series, None, cold=False)
        begun = time.perf_counter()
        await asyncio.to_thread(run, peers.ssh("true", shared=False))
        ssh["fresh"].append((time.perf_counter() - begun) * 1000)
    return goals.CYCLE, statistics.median(series["cycle"]), statistics.median(ssh["fresh"])


async def _measure(folder: Path, rounds: int) -> tuple[list[Row], float]:
    """The rows, and the MiB that a machine holds after true."""
    path = os.environ["PATH"]
    peers = await prepare(folder)
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(
            await Sandbox.create(_NAME, image=IMAGE, network="user:host-loopback", cold=True)
        )
        await peers.start(sandbox)
        await asyncio.to_thread(stop_core)  # the next one is to start machines without the peers' devices
        os.environ["PATH"] = path
        rows = await _in_a_guest(sandbox, peers, folder, rounds)
        rows.append(await _cycles(peers, rounds // 2))
    held = await memory()
    rows.append((goals.AFTER_PYTHON, held["python"][0], 80.0))
    rows.append((goals.AFTER_ALL, held["a day"][0], 130.0))
    await asyncio.to_thread(stop_core)
    return rows, held["true"][0]


def _table(rows: list[Row], true: float, before: dict[str, float]) -> list[str]:
    lines = [f"{'':<30}{'sandtop':>9}{'beside':>9}  {'':<17}{'ratio':>6}{'before':>8}  goal"]
    for goal, ours, other in rows:
        ratio, former = ours / other, before.get(goal.what)
        shown = "-" if former is None else f"{former:.2f}"
        lines.append(
            f"{goal.what:<30}{ours:9.1f}{other:9.1f}  {goal.than:<17}{ratio:6.2f}{shown:>8}"
            f"  {goal.wanted:<7} {'met' if goal.met(ratio) else 'NOT met'}"
        )
    for what, now in ((goals.CYCLE.what, rows[-3][1] / rows[-3][2]), (_AFTER_TRUE, true)):
        former = before.get(what)
        if former is None:
            lines.append(f"{what:<30}{now:9.2f}  as before or better: nothing to compare with (--before)")
            continue
        met = "met" if now <= former * goals.AS_BEFORE else "NOT met"
        wanted = f"<= {goals.AS_BEFORE:g}"
        lines.append(
            f"{what:<30}{now:9.2f}{former:9.2f}  {'before':<17}{now / former:6.2f}{'':8}  {wanted:<7} {met}"
        )
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--before", type=Path)
    options = parser.parse_args()
    before: dict[str, float] = json.loads(options.before.read_text()) if options.before else {}
    with tempfile.TemporaryDirectory(prefix="sandtop-bench-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # QEMU, which has a uid of its own, makes a socket in it
        rows, true = asyncio.run(_measure(folder, options.rounds))
    print(
        f"{os.cpu_count()} processors, guest under software emulation unless sandtop doctor says otherwise; "
        "medians in ms, MB/s or MiB\n"
    )
    print(*_table(rows, true, before), sep="\n")
    if options.json:
        ratios = {goal.what: ours / other for goal, ours, other in rows}
        options.json.write_text(json.dumps({**ratios, _AFTER_TRUE: true}, indent=2))


if __name__ == "__main__":
    main()
