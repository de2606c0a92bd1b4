"""``just bench forward``: a port of a sandbox over sandtop's channel, beside the same over QEMU's user networking.

    python bench/forward/run.py [--rounds N] [--megabytes N] [--connections N] [--accelerator auto|kvm|tcg]

One sandbox with ``--network user`` has a server. It is reached by ``sandtop forward``, and by a port that QEMU
forwards (``hostfwd``), which the bench has QEMU do over its monitor while no core is connected there. Each measurement
over one way is followed by the same over the other; what counts is the median of these pairs' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandtop.core import paths
from sandtop.sync import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

_SANDTOP: Final = [sys.executable, "-m", "sandtop"]
_HOST: Final = "127.0.0.1"
_PORT: Final = 5001
_WAYS: Final = ("sandtop forward", "QEMU hostfwd")
_SERVER: Final = """
import socket, sys, threading
block = bytes(1 << 18)
def serve(client):
    with client:
        order = client.recv(1)
        if order == b"s":
            for _ in range(int(sys.argv[1])):
                client.sendall(block)
        elif order == b"r":
            while client.recv(1 << 18):
                pass
            client.sendall(b"k")
        else:
            client.sendall(order)
with socket.create_server(("0.0.0.0", 5001), backlog=1024) as listener:
    print("listens", flush=True)
    while True:
        threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
"""
_BLOCK: Final = 1 << 18


def _sandtop(*words: str) -> str:
    return subprocess.run([*_SANDTOP, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def _home(folder: Path, accelerator: str) -> None:
    """A home of the bench's own, which shares the user's cache."""
    (folder / "cache").symlink_to(paths.find().cache)
    (folder / "config").mkdir(mode=0o700)
    (folder / "config" / "config.toml").write_text(
        f'warm_machines = 0\nboot_seconds = 600\naccelerator = "{accelerator}"\n'
    )
    os.environ["SANDTOP_HOME"] = str(folder)


def _hostfwd(uuid: str) -> int:
    """Have QEMU forward a port of the host to the server; which."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port = int(probe.getsockname()[1])
    _sandtop("core", "stop")  # the monitor takes one connection
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(60)
        monitor.connect(str(paths.find().machine_runtime(uuid) / "qmp"))
        with monitor.makefile("rw") as lines:
            order = f"hostfwd_add tcp:{_HOST}:{port}-:{_PORT}"
            for command in (
                {"execute": "qmp_capabilities"},
                {"execute": "human-monitor-command", "arguments": {"command-line": order}},
            ):
                lines.write(json.dumps(command) + "\n")
                lines.flush()
                answer: dict[str, Any] = {}
                while "return" not in answer:
                    answer = json.loads(lines.readline())
                    assert "error" not in answer, answer
                assert not answer["return"], answer
    return port


def _connect(port: int) -> socket.socket:
    return socket.create_connection((_HOST, port), 600)


def _receive(port: int, blocks: int) -> float:
    """Seconds for so many blocks to come."""
    with _connect(port) as client:
        begun, seen = time.perf_counter(), 0
        client.sendall(b"s")
        while data := client.recv(_BLOCK):
            seen += len(data)
        assert seen == blocks * _BLOCK, f"{seen} of {blocks * _BLOCK} bytes came"
        return time.perf_counter() - begun


def _send(port: int, blocks: int) -> float:
    """Seconds for so many blocks to arrive."""
    block = bytes(_BLOCK)
    with _connect(port) as client:
        begun = time.perf_counter()
        client.sendall(b"r")
        for _ in range(blocks):
            client.sendall(block)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b"k"
        return time.perf_counter() - begun


def _open(port: int, count: int) -> float:
    """Seconds for so many connections, one after the other, over each of which a byte goes and comes back."""
    begun = time.perf_counter()
    for _ in range(count):
        with _connect(port) as client:
            client.sendall(b"e")
            assert client.recv(1) == b"e"
            assert client.recv(1) == b""
    return time.perf_counter() - begun


def _show(name: str, unit: str, amount: float, seconds: dict[str, list[float]]) -> None:
    rates = {way: amount / statistics.median(seconds[way]) for way in _WAYS}
    ratio = statistics.median(
        other / ours for ours, other in zip(seconds[_WAYS[0]], seconds[_WAYS[1]], strict=True)
    )
    shown = "   ".join(f"{way} {rates[way]:8.1f}" for way in _WAYS)
    print(f"{name:<24} {shown}  {unit}   sandtop is {ratio:.2f} times as fast")


def _measure(ports: dict[str, int], rounds: int, blocks: int, connections: int) -> None:
    works: dict[str, tuple[str, float, Callable[[int], float]]] = {
        "out of the sandbox": ("MB/s", blocks * _BLOCK / 1e6, lambda port: _receive(port, blocks)),
        "into the sandbox": ("MB/s", blocks * _BLOCK / 1e6, lambda port: _send(port, blocks)),
        "connections": ("a second", connections, lambda port: _open(port, connections)),
    }
    for name, (unit, amount, work) in works.items():
        seconds = defaultdict[str, list[float]](list)
        for number in range(rounds + 1):
            for way in _WAYS:
                took = work(ports[way])
                if number:  # the first of each warms up
                    seconds[way].append(took)
        _show(name, unit, amount, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=32)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--accelerator", choices=("auto", "kvm", "tcg"), default="auto")
    options = parser.parse_args()
    blocks = max(1, options.megabytes * 1_000_000 // _BLOCK)
    with tempfile.TemporaryDirectory(prefix="sandtop-bench-") as place:
        folder = Path(place)
        folder.chmod(0o711)
        _home(folder, options.accelerator)
        try:
            _sandtop("create", "bench", "--network", "user")
            box = Sandbox.get("bench")
            session = _sandtop("exec", "-d", "bench", "--", "python3", "-c", _SERVER, str(blocks)).strip()
            while _sandtop("logs", "bench", session) != "listens\n":
                time.sleep(0.1)
            forwarded = _hostfwd(box.uuid)
            with Sandbox.get("bench").forward(str(_PORT)) as (port,):
                _measure(
                    dict(zip(_WAYS, (port.host_port, forwarded), strict=True)),
                    options.rounds, blocks, options.connections,
                )  # fmt: skip
        finally:
            _sandtop("core", "stop", "--all")


if __name__ == "__main__":
    main()
