"""``just bench channels``: the same over vsock and over virtio-serial, in pairs, on a host that has both.

    python bench/channels/run.py [--rounds N] [--megabytes N] [--streams N] [--machines N]
        [--accelerator auto|kvm|tcg] [--json FILE]

``just nested bench`` runs it on such a host, itself emulated: only the ratios mean anything there. One core has
sandboxes of both kinds: those that it made under vsock keep that when the core is started anew for virtio-serial. Each
measurement over one channel is followed by the same over the other; what is shown is also the median of these pairs'
ratios.

Memory is what QEMU has for itself (smaps_rollup: Private) when a sandbox went on from its template, ran ``true``, and
waits. What the host's kernel has for vhost is not in it.
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
from collections import defaultdict
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from sandtop import Sandbox, Stdout
from sandtop.core import paths

sys.path.insert(0, str(Path(__file__).parents[2]))  # this is run as a script, and imports what lies beside it

from bench.exec.seat import Terminal
from bench.processes import private_mib

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_CHANNELS: Final = ("virtio-serial", "vsock")
_SANDTOP: Final = [sys.executable, "-m", "sandtop"]
_REST: Final = 0.06
"""Seconds between two measurements, as in ``bench/exec``."""
_QUIET: Final = 2.0
"""Seconds after which nothing more of an attach's beginning comes, which would be taken for an echo."""
_SETTLED: Final = 10.0
"""Seconds after which a sandbox that does nothing has tidied up."""
_KEYS: Final = b"abcdefghijklmnopqrstuvwxyz"
_LINE: Final = 50
"""Keys after which a new line is begun: a terminal's has an end."""

Series = dict[str, list[float]]


def _sandtop(*words: str) -> None:
    subprocess.run([*_SANDTOP, *words], check=True, stdout=subprocess.DEVNULL)


def _home(folder: Path, accelerator: str) -> None:
    """A home of the bench's own, which shares the user's cache, and where no machine stands by and disturbs."""
    cache = paths.find().cache
    (folder / "cache").symlink_to(cache)
    (folder / "config").mkdir(mode=0o700)
    (folder / "config" / "config.toml").write_text(
        f'warm_machines = 0\nboot_seconds = 600\naccelerator = "{accelerator}"\n'
    )
    os.environ["SANDTOP_HOME"] = str(folder)


def _names(channel: str, count: int) -> list[str]:
    return [f"{channel}-{number}" for number in range(count)]


def _make(machines: int) -> None:
    """Sandboxes of both kinds; one core has them all in the end."""
    for channel in reversed(_CHANNELS):
        _sandtop("core", "start", "--channel", channel)
        for name in _names(channel, machines):
            _sandtop("create", name)
        if channel != _CHANNELS[0]:
            _sandtop("core", "stop")


async def _check(sandboxes: dict[str, Sandbox]) -> None:
    for channel, sandbox in sandboxes.items():
        machine = (await sandbox.inspect()).machine
        spec = cast("dict[str, object]", (machine or {}).get("spec"))
        assert spec["transport"] == channel
        print(f"{channel}: {spec['accelerator']}, {spec['transport_reason']}")


async def _memory(machines: int) -> Series:
    """MiB of each sandbox's QEMU."""
    found: Series = {}
    for channel in _CHANNELS:
        for name in _names(channel, machines):
            assert (await Sandbox.at(name).exec("/bin/true")).exit_code == 0
    await asyncio.sleep(_SETTLED)
    for channel in _CHANNELS:
        pids = [(await Sandbox.get(name)).info.pid for name in _names(channel, machines)]
        found[channel] = [private_mib(pid) for pid in pids if pid is not None]
    return found


async def _execs(sandboxes: dict[str, Sandbox], rounds: int) -> tuple[Series, Series]:
    """Milliseconds of an exec, and of a question to the agent and its answer."""
    execs, pings = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for _ in range(rounds):
        for channel, sandbox in sandboxes.items():
            begun = time.perf_counter()
            assert (await sandbox.exec("/bin/true")).exit_code == 0
            execs[channel].append(1000 * (time.perf_counter() - begun))
            await asyncio.sleep(_REST)
            pings[channel].append(1000 * await sandbox.ping())
            await asyncio.sleep(_REST)
    return execs, pings


def _keys(rounds: int) -> Series:
    """Milliseconds from a key to its echo by the terminal of a ``cat``, through ``sandtop attach``."""
    found = defaultdict[str, list[float]](list)
    first, second = ([*_SANDTOP, "attach", *_names(channel, 1), "--", "cat"] for channel in _CHANNELS)
    with Terminal(first) as one, Terminal(second) as other:
        terminals = dict(zip(_CHANNELS, (one, other), strict=True))
        for terminal in terminals.values():
            terminal.type(b"ready")
            terminal.until(b"ready")
            terminal.draw_for(_QUIET)
        for turn in range(rounds):
            key = _KEYS[turn % len(_KEYS) :][:1]
            for channel, terminal in terminals.items():
                terminal.type(key)
                found[channel].append(1000 * terminal.until(key))
                if turn % _LINE == _LINE - 1:
                    terminal.type(b"\r")
                    terminal.until(b"\n")
                terminal.draw_for(_REST)
    return found


async def _streams(sandboxes: dict[str, Sandbox], rounds: int, megabytes: int) -> Series:
    """Seconds until so many megabytes of a program's output were here."""
    found, size = defaultdict[str, list[float]](list), megabytes * 1_000_000
    for _ in range(rounds):
        for channel, sandbox in sandboxes.items():
            begun, seen = time.perf_counter(), 0
            async with await sandbox.exec_stream("head", ["-c", str(size), "/dev/zero"]) as process:
                async for event in process:
                    if isinstance(event, Stdout):
                        seen += len(event.data)
            assert seen == size, f"{seen} of {size} bytes came"
            found[channel].append(time.perf_counter() - begun)
    return found


def _report(title: str, series: Series) -> str:
    p50 = {channel: statistics.median(values) for channel, values in series.items()}
    pairs = [vsock / serial for serial, vsock in zip(*(series[name] for name in _CHANNELS), strict=True)]
    return "\n".join(
        [
            title,
            *(f"  {name:<14} p50 {p50[name]:9.1f}   n {len(values)}" for name, values in series.items()),
            f"  vsock / virtio-serial: {p50['vsock'] / p50['virtio-serial']:.2f} of the medians, "
            f"{statistics.median(pairs):.2f} median of pairs ({min(pairs):.2f} to {max(pairs):.2f})",
        ]
    )


async def _measure(options: argparse.Namespace) -> AsyncGenerator[tuple[str, Series]]:
    """What was measured, one after the other."""
    sandboxes = {channel: await Sandbox.get(_names(channel, 1)[0]) for channel in _CHANNELS}
    await _check(sandboxes)
    yield "memory of a machine (MiB)", await _memory(options.machines)
    await _execs(sandboxes, 2)  # what a first one costs is not what is asked
    execs, pings = await _execs(sandboxes, options.rounds)
    yield "exec true (ms)", execs
    yield "question and answer of the agent (ms)", pings
    yield "key to echo (ms)", await asyncio.to_thread(_keys, options.rounds)
    streams = await _streams(sandboxes, options.streams, options.megabytes)
    yield f"{options.megabytes} MB out (s)", streams


async def _report_all(options: argparse.Namespace) -> None:
    """Print each as soon as it is known: a run that is cut off has said what it knows by then."""
    found: dict[str, Series] = {}
    async with aclosing(_measure(options)) as measured:
        async for title, series in measured:
            print(f"\n{_report(title, series)}", flush=True)
            found[title] = series
            if options.json:
                options.json.write_text(json.dumps(found))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--streams", type=int, default=3)
    parser.add_argument("--machines", type=int, default=2)
    parser.add_argument("--accelerator", choices=["auto", "kvm", "tcg"], default="auto")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="sandtop-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        _home(folder, options.accelerator)
        try:
            _make(options.machines)
            print(f"the machines were made in {time.perf_counter() - begun:.0f} s", flush=True)
            asyncio.run(_report_all(options))
        finally:
            for sandbox in (each for channel in _CHANNELS for each in _names(channel, options.machines)):
                subprocess.run([*_SANDTOP, "rm", "--force", sandbox], capture_output=True, check=False)
            subprocess.run([*_SANDTOP, "core", "stop", "--all"], check=False)
    print(f"\n{time.perf_counter() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
