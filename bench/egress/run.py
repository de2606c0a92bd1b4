"""``just bench egress``: a server of the host reached by a sandbox with an allow-list, and by one on the user network.

    python bench/egress/run.py [--rounds N] [--megabytes N] [--connections N] [--accelerator auto|kvm|tcg]

Both connect to 10.0.2.2, which is the host's loopback: over sandtop's channel, and over QEMU's user networking. Each
measurement in one sandbox is followed by the same in the other; what counts is the median of these pairs' ratios.
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

_WAYS: Final = ("allow-list", "network user")
_CLIENT: Final = """
import json, socket, sys, time
port, count, connections = map(int, sys.argv[1:])
def connect():
    return socket.create_connection(("10.0.2.2", port), 600)
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


def _listen(count: int) -> int:
    """Serve until this process ends; the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, count), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


def _measure(boxes: dict[str, sync.Sandbox], port: int, count: int, connections: int, rounds: int) -> None:
    seconds = defaultdict[str, list[list[float]]](list)
    for number in range(rounds + 1):
        for way, box in boxes.items():
            done = box.exec("python3", ["-c", _CLIENT, str(port), str(count), str(connections)], timeout=600)
            assert done.exit_code == 0, done.stderr
            if number:  # the first of each warms up
                seconds[way].append(json.loads(done.stdout))
    names = ("into the sandbox", "MB/s"), ("out of the sandbox", "MB/s"), ("connections", "a second")
    for at, (name, unit) in enumerate(names):
        amount = connections if at == 2 else count / 1e6
        ours, others = ([each[at] for each in seconds[way]] for way in _WAYS)
        ratio = statistics.median(other / own for own, other in zip(ours, others, strict=True))
        rates = [
            f"{way} {amount / statistics.median(took):8.1f}"
            for way, took in zip(_WAYS, (ours, others), strict=True)
        ]
        print(f"{name:<20} {'   '.join(rates)}  {unit}   the allow-list is {ratio:.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=8)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--accelerator", choices=("auto", "kvm", "tcg"), default="auto")
    options = parser.parse_args()
    count = options.megabytes * 1_000_000
    port = _listen(count)
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
                sync.Sandbox.create("ours", allow=[f"10.0.2.2:{port}"], cold=True) as ours,
                sync.Sandbox.create("others", network="user", cold=True) as others,
            ):
                boxes: dict[str, sync.Sandbox] = dict(zip(_WAYS, (ours, others), strict=True))
                _measure(boxes, port, count, options.connections, options.rounds)
        finally:
            sync.stop_core(machines=True)


if __name__ == "__main__":
    main()
