"""``just bench egress``: a server of the host reached from sandboxes: with an allow-list, and on the user network.

    python bench/egress/run.py [--rounds N] [--megabytes N] [--connections N] [--accelerator auto|kvm|tcg]

All connect to an address of this host's: over sandtop's channel, over QEMU's user networking behind its filter (the
network ``user``), and without that (``user:host-loopback``). Each measurement in one sandbox is followed by the same in
the others; what counts is the median of the ratios of these. Needs an address of the host's that is not loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from typing import Final

from sandtop import sync
from sandtop.core import paths

_WAYS: Final = ("allow-list", "user", "user:host-loopback")
_CLIENT: Final = """
import json, socket, sys, time
host, (port, count, connections) = sys.argv[1], map(int, sys.argv[2:])
def connect():
    return socket.create_connection((host, port), 600)
def into():
    with connect() as server:
        server.sendall(b"s")
        buffer, seen = bytearray(1 << 18), 0
        while got := server.recv_into(buffer):
            seen += got
        assert seen == count
def out():
    with connect() as server:
        server.sendall(b"r" + bytes(count))
        server.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b"k"
def many():
    for _ in range(connections):
        with connect() as server:
            server.sendall(b"e")
            assert server.recv(1) == b"e"
found = []
for work in (into, out, many):
    begun = time.perf_counter()
    work()
    found.append(time.perf_counter() - begun)
print(json.dumps(found))
"""


def _serve(client: socket.socket, count: int) -> None:
    with client:
        order = client.recv(1)
        if order == b"s":
            client.sendall(bytes(count))
        elif order == b"r":
            while client.recv(1 << 18):
                pass
            client.sendall(b"k")
        else:
            client.sendall(order)


def _listen(count: int) -> tuple[str, int]:
    """Serve until this process ends; the address and the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards:
        towards.connect(("203.0.113.1", 9))  # sends nothing: it chooses the address that others see
        host = str(towards.getsockname()[0])
    listener = socket.create_server((host, 0), backlog=256)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, count), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return host, int(listener.getsockname()[1])


def _measure(
    boxes: dict[str, sync.Sandbox], server: tuple[str, int], count: int, connections: int, rounds: int
) -> None:
    seconds = defaultdict[str, list[list[float]]](list)
    for number in range(rounds + 1):
        for way, box in boxes.items():
            done = box.exec("python3", ["-c", _CLIENT, *map(str, (*server, count, connections))], timeout=600)
            assert done.exit_code == 0, done.stderr
            if number:  # the first of each warms up
                seconds[way].append(json.loads(done.stdout))
    names = ("into the sandbox", "MB/s"), ("out of the sandbox", "MB/s"), ("connections", "a second")
    for at, (name, unit) in enumerate(names):
        amount = connections if at == 2 else count / 1e6
        took = {way: [each[at] for each in seconds[way]] for way in _WAYS}
        shown: list[str] = []
        for way in _WAYS:
            ratio = statistics.median(
                plain / own for own, plain in zip(took[way], took[_WAYS[-1]], strict=True)
            )
            shown.append(f"{way} {amount / statistics.median(took[way]):8.1f} ({ratio:.2f})")
        print(f"{name:<20} {'   '.join(shown)}  {unit}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=8)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--accelerator", choices=("auto", "kvm", "tcg"), default="auto")
    options = parser.parse_args()
    count = options.megabytes * 1_000_000
    server = _listen(count)
    with tempfile.TemporaryDirectory(prefix="sandtop-bench-") as place:
        folder = Path(place)
        folder.chmod(0o711)
        (folder / "cache").symlink_to(paths.find().cache)
        (folder / "config").mkdir(mode=0o700)
        (folder / "config" / "config.toml").write_text(
            f'warm_machines = 0\nboot_seconds = 600\naccelerator = "{options.accelerator}"\n'
        )
        os.environ["SANDTOP_HOME"] = str(folder)
        try:
            with (
                sync.Sandbox.create("ours", allow=[f"{server[0]}:{server[1]}"], cold=True) as ours,
                sync.Sandbox.create("user", network="user", cold=True) as user,
                sync.Sandbox.create("plain", network="user:host-loopback", cold=True) as plain,
            ):
                boxes: dict[str, sync.Sandbox] = dict(zip(_WAYS, (ours, user, plain), strict=True))
                _measure(boxes, server, count, options.connections, options.rounds)
        finally:
            sync.stop_core(machines=True)


if __name__ == "__main__":
    main()
