"""``just bench exec``: what an exec costs, beside qemu-guest-agent and dropbear in the same guest, in one run.

    python bench/exec/run.py [--rounds N] [--megabytes N] [--json FILE]

Everything alternates with its peer, so that a machine that is busy for a moment is busy for both; figures are medians
(p50) and 95th percentiles. Needs Debian's openssh-client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop import Exited, Sandbox, Started, Stdout
from sandtop.core.client.link import stop_core

sys.path.insert(0, str(Path(__file__).parents[2]))  # this is run as a script, and imports what lies beside it

from bench.exec.peers import IMAGE, GuestAgent, Peers, prepare, run
from bench.goals import goals

if TYPE_CHECKING:
    from collections.abc import Generator

_NAME: Final = "bench"
_GOALS: Final = {
    "exec true": ("qga", goals.EXEC),
    "whole process": ("ssh mux", goals.PROCESS),
    "stream, through cat": ("ssh", goals.STREAM),
}
_REST: Final = 0.06
"""Seconds between two measurements: what the agent tidies up after a session must not fall into its peer's turn."""
_LOOPS: Final = 50
STREAMS: Final = {"stream": "head -c {} /dev/zero", "stream, through cat": "head -c {} /dev/zero | cat"}
"""The program's stdout is a pipe; through cat there are two, and a third program on the same processor."""


@dataclass(slots=True)
class Series:
    """Measurements of one thing by several contenders, in milliseconds, or MB/s for a stream."""

    unit: str
    values: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, who: str, value: float) -> None:
        self.values.setdefault(who, []).append(value)

    def p50(self, who: str) -> float:
        return statistics.median(self.values[who])

    def p95(self, who: str) -> float:
        ordered = sorted(self.values[who])
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


@contextmanager
def _timed(series: Series, who: str) -> Generator[None]:
    begun = time.perf_counter()
    yield
    series.add(who, (time.perf_counter() - begun) * 1000)


async def exec_true(sandbox: Sandbox, qga: GuestAgent, rounds: int, stages: Series) -> Series:
    """An exec of /bin/true through the SDK and through qemu-guest-agent, and into ``stages`` where ours goes."""
    series = Series("ms")
    for _ in range(rounds):
        with _timed(series, "sandtop"):
            output = await sandbox.exec("/bin/true")
        assert output.exit_code == 0
        await asyncio.sleep(_REST)
        with _timed(series, "qga"):
            code = qga.run("/bin/true")
        assert code == 0
        await _stages(sandbox, stages)
        await asyncio.sleep(_REST)
    return series


async def _stages(sandbox: Sandbox, stages: Series) -> None:
    """Where the time of one exec goes."""
    seconds = await sandbox.ping()
    stages.add("core to agent and back (ping)", seconds * 1000)
    begun = time.perf_counter()
    async with await sandbox.exec_stream("/bin/true") as process:
        async for event in process:
            if isinstance(event, Started):
                stages.add("request to started", (time.perf_counter() - begun) * 1000)
                begun = time.perf_counter()
            elif isinstance(event, Exited):
                stages.add("started to exited", (time.perf_counter() - begun) * 1000)
                if event.record.duration_ms is not None:
                    stages.add("  of that, in the guest (agent's clock)", event.record.duration_ms)


async def _floor(sandbox: Sandbox, stages: Series) -> None:
    """What the guest takes for the same program when nobody asks from outside: a shell forks, executes and waits."""
    loop = "i=0; while [ $i -lt {} ]; do /bin/true; i=$((i+1)); done"
    times: dict[int, float] = {}
    for turns in (10, 10 + _LOOPS):
        begun = time.perf_counter()
        await sandbox.shell(loop.format(turns))
        times[turns] = time.perf_counter() - begun
    stages.add("floor: one turn of a shell's loop over it", (times[10 + _LOOPS] - times[10]) * 1000 / _LOOPS)


def whole_process(name: str, peers: Peers, rounds: int) -> Series:
    """``sandtop exec NAME -- true`` and ``ssh … true``, from their start to their end."""
    series = Series("ms")
    sandtop = str(
        Path(sys.executable).parent / "sandtop"
    )  # of the tree that is measured, whatever the PATH says
    for _ in range(rounds):
        with _timed(series, "sandtop"):
            run([sandtop, "exec", name, "--", "true"])
        time.sleep(_REST)
        with _timed(series, "ssh mux"):
            run(peers.ssh("true", shared=True))
        time.sleep(_REST)
    for _ in range(max(3, rounds // 10)):
        with _timed(series, "ssh fresh"):
            run(peers.ssh("true", shared=False))
        with _timed(series, "bare python"):
            run([sys.executable, "-I", "-S", "-c", ""])
    return series


async def stream(sandbox: Sandbox, peers: Peers, command: str, megabytes: int) -> Series:
    """What a program in the guest writes, until it is here."""
    series = Series("MB/s")
    size = megabytes * 1_000_000
    for _ in range(3):
        begun, seen = time.perf_counter(), 0
        async with await sandbox.exec_stream("sh", ["-c", command.format(size)]) as process:
            async for event in process:
                if isinstance(event, Stdout):
                    seen += len(event.data)
        assert seen == size, f"{seen} of {size} bytes came"
        series.add("sandtop", size / 1e6 / (time.perf_counter() - begun))
        begun = time.perf_counter()
        seen = await asyncio.to_thread(_ssh_stream, peers, command.format(size // 4))
        assert seen == size // 4
        series.add("ssh", seen / 1e6 / (time.perf_counter() - begun))
    return series


def _ssh_stream(peers: Peers, command: str) -> int:
    with subprocess.Popen(peers.ssh(command, shared=True), stdout=subprocess.PIPE) as ssh:
        assert ssh.stdout is not None
        seen = 0
        while data := ssh.stdout.read(1 << 18):
            seen += len(data)
    return seen


def _report(name: str, series: Series) -> list[str]:
    lines = [f"{name} ({series.unit})"]
    for who, values in series.values.items():
        lines.append(f"  {who:<42} p50 {series.p50(who):9.2f}   p95 {series.p95(who):9.2f}   n {len(values)}")
    if name in _GOALS:
        peer, goal = _GOALS[name]
        ratio = series.p50("sandtop") / series.p50(peer)
        lines.append(f"  sandtop / {peer} = {ratio:.2f}   {goal.verdict(ratio)}")
    return lines


async def _measure(folder: Path, rounds: int, megabytes: int) -> dict[str, Series]:
    peers = await prepare(folder)
    async with await Sandbox.create(_NAME, image=IMAGE, network="user:host-loopback", cold=True) as sandbox:
        await peers.start(sandbox)
        stages = Series("ms")
        with GuestAgent(peers.qga_socket) as qga:
            execs = await exec_true(sandbox, qga, rounds, stages)
            for _ in range(5):
                await _floor(sandbox, stages)
            results = {
                "exec true": execs,
                "stages of an exec": stages,
            }
        results["whole process"] = whole_process(_NAME, peers, rounds)
        for name, command in STREAMS.items():
            results[name] = await stream(sandbox, peers, command, megabytes)
    stop_core()
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sandtop-bench-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # QEMU, which has a uid of its own, makes a socket in it
        results = asyncio.run(_measure(folder, options.rounds, options.megabytes))
    print(
        f"{os.cpu_count()} processors, guest under software emulation unless sandtop doctor says otherwise\n"
    )
    for title, series in results.items():
        print("\n".join(_report(title, series)), end="\n\n")
    if options.json:
        options.json.write_text(json.dumps({title: series.values for title, series in results.items()}))


if __name__ == "__main__":
    main()
