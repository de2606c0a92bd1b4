"""``just bench start``: a sandbox from nothing to its first command and away, beside a boot and a fresh ssh exec.

    python bench/start/run.py [--rounds N] [--fleet N]

Everything alternates, so that a machine that is busy for a moment is busy for all; figures are medians (p50) and 95th
percentiles. "In a row" is the same cycle with nothing in between: then machines of the warm pool are taken faster than
others take their place, and a cycle waits for one. The ssh exec goes to a guest that runs already (dropbear, over user
networking). With ``--fleet`` also so many sandboxes at once: time, memory and idle processor time of each. Needs
Debian's openssh-client.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from sandtop import Sandbox, core_status
from sandtop.core.client.link import stop_core

sys.path.insert(0, str(Path(__file__).parents[2]))  # this is run as a script, and imports what lies beside it

from bench.exec.peers import IMAGE, Peers, prepare, run, wait_for
from bench.goals import goals
from bench.processes import cpu_seconds, private_mib

_COLD_EVERY: Final = 6
_IDLE_SECONDS: Final = 10.0
_GOALS: Final = (("ssh exec, fresh", goals.CYCLE.bound), ("cold cycle", 0.1))

Series = defaultdict[str, list[float]]


async def cycle(series: Series, stages: Series | None, *, cold: bool) -> None:
    """Create, exec true, rm. The stages are asked for outside of what is timed."""
    begun = time.perf_counter()
    sandbox = await Sandbox.create("bench-start", cold=cold)
    created = time.perf_counter()
    output = await sandbox.exec("/bin/true")
    executed = time.perf_counter()
    assert output.exit_code == 0
    if stages is not None:
        before, timings = 0.0, (await sandbox.inspect()).timings
        kind = "stood by" if "resumed" in timings else "template"
        for stage, at in timings.items():
            stages[f"  {kind}: {stage}"].append((at - before) * 1000)
            before = at
        stages[f"{kind}: create"].append((created - begun) * 1000)
        stages[f"{kind}: exec true"].append((executed - created) * 1000)
    removing = time.perf_counter()
    await sandbox.rm(force=True)
    removed = time.perf_counter()
    series["cold cycle" if cold else "cycle"].append((executed - begun + removed - removing) * 1000)
    if stages is not None:
        stages["rm"].append((removed - removing) * 1000)


async def _peer(stack: AsyncExitStack, folder: Path) -> Peers:
    """A running guest with dropbear in it."""
    path = os.environ["PATH"]
    peers = await prepare(folder)
    peer = await stack.enter_async_context(
        await Sandbox.create("bench-peer", image=IMAGE, network="user:host-loopback", cold=True)
    )
    await peers.let_in(peer)
    await (await peer.exec_stream("dropbear", ["-R", "-F", "-E", "-p", "22"], on_exit="detach")).aclose()
    wait_for("ssh", lambda: subprocess.run(peers.ssh("true", shared=False), check=False).returncode == 0)
    stop_core()
    os.environ["PATH"] = path
    return peers


async def _fleet(count: int) -> list[str]:
    """So many sandboxes at once, each having run Python; what they take when idle."""
    begun = time.perf_counter()
    async with AsyncExitStack() as stack:

        async def one(number: int) -> int:
            sandbox = await stack.enter_async_context(await Sandbox.create(f"bench-{number}"))
            assert (await sandbox.exec("python3", ["-c", "pass"])).exit_code == 0
            assert sandbox.info.pid is not None
            return sandbox.info.pid

        pids = await asyncio.gather(*(one(number) for number in range(count)))
        up = time.perf_counter() - begun
        await asyncio.sleep(_IDLE_SECONDS)
        memory = [private_mib(pid) for pid in pids]
        core = (await core_status()).pid
        before = {pid: cpu_seconds(pid) for pid in (*pids, core)}
        await asyncio.sleep(_IDLE_SECONDS)
        share = {pid: (cpu_seconds(pid) - before[pid]) / _IDLE_SECONDS * 100 for pid in before}
    each = [share[pid] for pid in pids]
    return [
        f"{count} sandboxes at once, each having run python3: {up:.1f} s",
        f"  private memory, MiB: p50 {statistics.median(memory):.0f}, most {max(memory):.0f}   goal <= 80",
        f"  idle, % of a core: p50 {statistics.median(each):.2f}, most {max(each):.2f}   goal <= 0.5",
        f"  the core, idle, % of a core: {share[core]:.1f}   goal <= 5",
    ]


def _table(series: Series) -> list[str]:
    def p95(values: list[float]) -> float:
        return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]

    return [
        f"  {name:<24} p50 {statistics.median(values):8.1f}   p95 {p95(values):8.1f}   n {len(values)}"
        for name, values in series.items()
    ]


async def _measure(folder: Path, rounds: int, fleet: int) -> None:
    series, stages, in_a_row = Series(list), Series(list), Series(list)
    async with AsyncExitStack() as stack:
        peers = await _peer(stack, folder)
        await cycle(Series(list), None, cold=False)  # prepares the template
        for number in range(rounds):
            await cycle(series, stages, cold=False)
            begun = time.perf_counter()
            ssh = peers.ssh("true", shared=False)
            await asyncio.to_thread(run, ssh)
            series["ssh exec, fresh"].append((time.perf_counter() - begun) * 1000)
            if number % _COLD_EVERY == 0:
                await cycle(series, None, cold=True)
        for _ in range(rounds):
            await cycle(in_a_row, None, cold=False)
    series["cycle, in a row"] = in_a_row["cycle"]
    print("create, exec true, rm (ms)", *_table(series), sep="\n")
    for peer, goal in _GOALS:
        for ours in ("cycle", "cycle, in a row"):
            ratio = statistics.median(series[ours]) / statistics.median(series[peer])
            print(
                f"  {ours} / {peer} = {ratio:.2f}   goal <= {goal}   {'met' if ratio <= goal else 'NOT met'}"
            )
    print("\nwhere it goes (ms)", *_table(stages), sep="\n")
    if fleet:
        print("", *await _fleet(fleet), sep="\n")
    stop_core()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--fleet", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sandtop-bench-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # QEMU, which has a uid of its own, makes a socket in it
        asyncio.run(_measure(folder, options.rounds, options.fleet))


if __name__ == "__main__":
    main()
