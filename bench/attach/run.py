"""A terminal in a sandbox: how soon a key shows, how soon ctrl-c stops a flood, and what a flood costs.

    just bench attach

The same key goes, in turn, through ``sandtop attach`` and through ssh to dropbear in the same guest; both run ``cat``,
so what comes back is the guest's terminal's own echo. Then a shell floods an attached terminal that draws 4 MB a
second, about what tmux does with short lines, and ctrl-c is pressed. Last a session scrolls at full pace with nobody
attached, and with somebody: what do the core and the screen worker take of a processor?
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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop import Sandbox
from sandtop.core.client.link import call, call_all, session_listing, stop_core
from sandtop.core.contract.core import Status

sys.path.insert(0, str(Path(__file__).parents[2]))  # this is run as a script, and imports what lies beside it

from bench.exec.peers import IMAGE, Peers, prepare, wait_for
from bench.exec.seat import Terminal
from bench.goals import goals

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME: Final = "bench-attach"
_SANDTOP: Final = [sys.executable, "-m", "sandtop"]
_DRAWS: Final = 4e6
_FLOODS: Final = {"yes": "yes", "cat of 50 MB": "cat /root/big"}
_PROMPT: Final = "here-again$"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


async def _prepare(sandbox: Sandbox, peers: Peers) -> None:
    await peers.let_in(sandbox)
    line = "the quick brown fox jumps over the lazy dog, and that many times over and over"
    await sandbox.shell(f"yes '{line}' | head -c 50000000 >/root/big")
    await (await sandbox.exec_stream("sh", ["-c", "exec dropbear -R -F -E -p 22"], on_exit="detach")).aclose()
    quiet = subprocess.DEVNULL
    ssh = peers.ssh("true", shared=True)
    wait_for("ssh", lambda: subprocess.run(ssh, stdout=quiet, stderr=quiet).returncode == 0)


def keys(name: str, peers: Peers, rounds: int) -> dict[str, list[float]]:
    """Milliseconds from a key to its echo."""
    commands = {
        "sandtop": [*_SANDTOP, "attach", name, "--", "cat"],
        "ssh": [*peers.ssh(shared=True)[:-1], "-tt", peers.ssh(shared=True)[-1], "cat"],
    }
    seen: dict[str, list[float]] = {who: [] for who in commands}
    with Terminal(commands["sandtop"]) as ours, Terminal(commands["ssh"]) as theirs:
        terminals = {"sandtop": ours, "ssh": theirs}
        for terminal in terminals.values():
            terminal.type(b"ready")
            terminal.until(b"ready")
        for turn in range(rounds):
            for who, terminal in terminals.items():
                key = b"abcdefghijklmnopqrstuvwxyz"[turn % 26 : turn % 26 + 1]
                terminal.type(key)
                seen[who].append(1000 * terminal.until(key))
                if turn % 50 == 49:  # a terminal's line has an end
                    terminal.type(b"\r")
                    terminal.until(b"\n")
                time.sleep(0.02)
    return seen


def _stops(rounds: int) -> dict[str, list[float]]:
    """Milliseconds from ctrl-c in a flood to the prompt on the screen."""
    seen: dict[str, list[float]] = {name: [] for name in _FLOODS}
    command = [*_SANDTOP, "attach", "-e", f"PS1={_PROMPT}", _NAME, "--", "sh"]
    with Terminal(command, _DRAWS) as terminal:
        terminal.until(_PROMPT.encode())
        for _ in range(rounds):
            for name, flood in _FLOODS.items():
                terminal.type(flood.encode() + b"\r")
                terminal.draw_for(1.5)
                terminal.type(b"\x03")
                seen[name].append(1000 * terminal.until(_PROMPT.encode()))
    return seen


def _processes() -> dict[str, int]:
    """The pids of the core and its screen worker."""
    core = call(Status()).pid
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"sandtop.core.screens" in (folder / "cmdline").read_bytes():
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == core:
                    return {"core": core, "worker": int(folder.name)}
        except OSError:
            continue
    raise RuntimeError("there is no screen worker")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _scroll(seconds: float, *, attached: bool) -> dict[str, float]:
    """Per cent of a processor while a session scrolls at full pace, and MB a second."""
    command = ["exec", "-d", "-t", _NAME, "--", "sh", "-c", "while :; do cat /root/big; done"]
    done = subprocess.run([*_SANDTOP, *command], capture_output=True, check=True, text=True)
    key = done.stdout.strip()
    try:
        if not attached:
            return _rates(key, partial(time.sleep, seconds))
        with Terminal([*_SANDTOP, "attach", _NAME, key]) as terminal:
            terminal.draw_for(1)
            return _rates(key, partial(terminal.draw_for, seconds))
    finally:
        subprocess.run([*_SANDTOP, "signal", "--scope", "all", _NAME, key, "KILL"], check=False)


def _rates(key: str, pass_time: Callable[[], None]) -> dict[str, float]:
    """What the processes used and the session wrote while time passed."""
    pids = _processes()
    written, begun = _written(key), time.monotonic()
    before = {who: _cpu(pid) for who, pid in pids.items()}
    pass_time()
    took = time.monotonic() - begun
    used = {f"{who} %": 100 * (_cpu(pid) - before[who]) / took for who, pid in pids.items()}
    return {**used, "MB/s": (_written(key) - written) / took / 1e6}


def _written(key: str) -> int:
    sessions = call_all(session_listing(_NAME))
    return next(session.stdout_bytes for session in sessions if session.id == key)


def _p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


def _line(name: str, values: list[float]) -> str:
    return f"  {name:<20} p50 {statistics.median(values):8.2f}   p95 {_p95(values):8.2f}   n {len(values)}"


def _ratio(quantile: str, ours: float, theirs: float) -> str:
    return f"  sandtop / ssh at {quantile} = {ours / theirs:.2f}   {goals.KEY.verdict(ours / theirs)}"


async def _measure(folder: Path, rounds: int) -> dict[str, object]:
    peers = await prepare(folder)
    async with await Sandbox.create(_NAME, image=IMAGE, network="user:host-loopback", cold=True) as sandbox:
        await _prepare(sandbox, peers)
        echoes = keys(_NAME, peers, rounds)
        print("key to echo (ms)", *(_line(who, values) for who, values in echoes.items()), sep="\n")
        print(_ratio("p50", statistics.median(echoes["sandtop"]), statistics.median(echoes["ssh"])))
        print(_ratio("p95", _p95(echoes["sandtop"]), _p95(echoes["ssh"])))
        stops = _stops(max(3, rounds // 40))
        print("\nctrl-c to prompt (ms), goal <= 300", *(_line(*item) for item in stops.items()), sep="\n")
        scrolls = {
            name: _scroll(5, attached=attached)
            for name, attached in (("nobody attached", False), ("somebody attached", True))
        }
        print("\nscrolling at full pace")
        for name, values in scrolls.items():
            print(f"  {name:<20} " + "   ".join(f"{what} {value:.1f}" for what, value in values.items()))
    stop_core()
    return {"keys": echoes, "stops": stops, "scrolls": scrolls}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} processors, guest under software emulation unless sandtop doctor says otherwise\n"
    )
    with tempfile.TemporaryDirectory(prefix="sandtop-bench-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # QEMU, which has a uid of its own, makes a socket in it
        results = asyncio.run(_measure(folder, options.rounds))
    if options.json:
        options.json.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
