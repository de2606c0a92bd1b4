"""``just bench python``: what work costs in a sandbox, beside the host's kernel, qemu-guest-agent and ssh, in one run.

    python bench/python/run.py [--rounds N] [--machines N] [--json FILE] [WORK…]

The work is a start of Python, imports, a loop, pytest of 50 small tests, a run of a compiler, and a mix of apt, perl,
find and tar (`works.py`). "host" is the same files, the unpacked image, run by the host's own kernel and processor;
"guest" is the guest without us: a program in it spawns the work and waits. Contenders take turns; figures are medians
of what one run took, in ms. ssh is dropbear over a connection that is open, its client's start included. At the end,
what a machine of the image base holds of the host's memory: after true, after a start of Python, and after a day of
starts, imports, loops and the mix. Needs Debian's openssh-client and squashfs-tools.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop import Sandbox
from sandtop.core.client.link import stop_core

sys.path.insert(0, str(Path(__file__).parents[2]))  # this is run as a script, and imports what lies beside it

from bench.exec.peers import IMAGE, GuestAgent, Peers, prepare, run
from bench.goals import goals
from bench.processes import private_mib
from bench.python.host import Host
from bench.python.works import FOLDER, WORKS, write

if TYPE_CHECKING:
    from collections.abc import Sequence

_REST: Final = 0.06
"""Seconds between two measurements: what the agent tidies up after a session must not fall into its peer's turn."""
_HOST_RUNS: Final = 5
_SHORTER: Final = {"pytest": 3, "compiler": 3, "mix": 3}
"""By what the rounds of long work are divided."""
_MEMORY: Final = {"true": ("true",), "python": ("start",), "a day": ("imports", "compute", "mix", "start")}
"""By what is said of them, what machines of the image base do; pytest and a compiler are not in it."""

_CONTENDERS: Final = ("host", "guest", "sandtop", "qga", "ssh")

Times = dict[str, list[float]]


async def provide(sandbox: Sandbox, folder: Path) -> None:
    """Copy the files of the work into ``sandbox``, by way of ``folder``."""
    files = write(folder)
    await sandbox.shell(f"mkdir -p {FOLDER}")
    await sandbox.upload(files, FOLDER)


async def work(sandbox: Sandbox, command: Sequence[str]) -> float:
    """Run ``command`` through the SDK; the seconds that it took."""
    begun = time.perf_counter()
    output = await sandbox.exec(command[0], command[1:])
    took = time.perf_counter() - begun
    assert output.exit_code == 0, f"{command}: {output.exit_code}\n{output.text}{output.stderr.decode()}"
    return took


async def compare(
    sandbox: Sandbox, peers: Peers, qga: GuestAgent, host: Host, name: str, rounds: int
) -> Times:
    """The seconds that each contender took for this work."""
    times: Times = defaultdict(list)
    command = WORKS[name]
    host.time(command, 1)  # so that nobody's first run counts
    await work(sandbox, command)
    for _ in range(max(3, rounds // _SHORTER.get(name, 1))):
        times["host"] += await asyncio.to_thread(host.time, command, _HOST_RUNS)
        times["sandtop"].append(await work(sandbox, command))
        await asyncio.sleep(_REST)
        begun = time.perf_counter()
        assert await asyncio.to_thread(qga.run, *command) == 0
        times["qga"].append(time.perf_counter() - begun)
        ssh = peers.ssh(shlex.join(command), shared=True)
        begun = time.perf_counter()
        await asyncio.to_thread(run, ssh)
        times["ssh"].append(time.perf_counter() - begun)
        await asyncio.sleep(_REST)
    timer = ["python3", f"{FOLDER}/timer.py", str(len(times["sandtop"])), *command]
    output = await sandbox.exec(timer[0], timer[1:])
    times["guest"] = [float(line) for line in output.text.split()]
    return times


async def memory(machines: int = 1) -> dict[str, list[float]]:
    """MiB that are each machine's own after this work; all of them live at the same time."""
    held: dict[str, list[float]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        for number in range(machines):
            sandbox = await stack.enter_async_context(await Sandbox.create(f"bench-memory-{number}"))
            assert sandbox.info.pid is not None
            for after, names in _MEMORY.items():
                for name in names:
                    await work(sandbox, WORKS[name])
                held[after].append(private_mib(sandbox.info.pid))
    return held


async def _measure(
    folder: Path, names: Sequence[str], rounds: int, machines: int
) -> tuple[dict[str, Times], dict[str, list[float]]]:
    peers = await prepare(folder)
    async with await Sandbox.create(
        "bench-work", image=IMAGE, network="user:host-loopback", cold=True
    ) as sandbox:
        host = Host.unpack((await sandbox.inspect()).image_digest, folder / "root")
        await provide(sandbox, folder / "work")
        await peers.start(sandbox)
        with GuestAgent(peers.qga_socket) as qga:
            results: dict[str, Times] = {}
            for name in names:
                results[name] = await compare(sandbox, peers, qga, host, name, rounds)
                print(_row(name, results[name]), flush=True)
    held = await memory(machines)
    stop_core()
    return results, held


def _header() -> str:
    return f"{'ms':<10}{''.join(f'{who:>9}' for who in _CONTENDERS)}   sandtop: / host  / guest    / qga    / ssh"


def _row(name: str, times: Times) -> str:
    p50 = {who: statistics.median(times[who]) * 1000 for who in _CONTENDERS}
    figures = "".join(f"{p50[who]:9.1f}" for who in _CONTENDERS)
    ratios = "".join(f"{p50['sandtop'] / p50[who]:9.2f}" for who in ("host", "guest", "qga", "ssh"))
    return f"{name:<10}{figures}           {ratios}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--machines",
        type=int,
        help="whose memory is measured, at the same time (1; 0 for some of the work alone)",
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("work", nargs="*", choices=[*WORKS, []], help="only these")
    options = parser.parse_args()
    if options.machines is None:
        options.machines = 0 if options.work else 1
    print(
        f"{os.cpu_count()} processors, guest under software emulation unless sandtop doctor says otherwise\n"
    )
    print(_header(), flush=True)
    with tempfile.TemporaryDirectory(prefix="sandtop-bench-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # QEMU, which has a uid of its own, makes a socket in it
        results, held = asyncio.run(
            _measure(folder, options.work or list(WORKS), options.rounds, options.machines)
        )
    if held:
        print(f"\nmemory of each of {options.machines} machines that went on from a template, MiB")
    for after, mib in held.items():
        print(f"  after {after:<8} p50 {statistics.median(mib):6.0f}   most {max(mib):6.0f}")
    if "start" in results:
        ratio = statistics.median(results["start"]["sandtop"]) / statistics.median(results["start"]["host"])
        print(f"start: sandtop / host = {ratio:.2f}   {goals.PYTHON.verdict(ratio)}")
    if options.json:
        options.json.write_text(json.dumps({"seconds": results, "mib": held}))


if __name__ == "__main__":
    main()
