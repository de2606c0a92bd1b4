"""tmux at work: a client on a terminal that somebody empties, and a pane that gets the bytes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from pathlib import Path

# Run in the pane: for each file named on its input, write it, ask for the status (DSR 5), and pass on how long the
# answer took: then tmux has read it all.
_PANE = r"""
import os, sys, time, tty
tty.setraw(0)
orders, results = sys.argv[1:]
while True:
    name = open(orders).read()
    data = open(name, "rb").read()
    start = time.perf_counter()
    while data:
        data = data[os.write(1, data[:65536]):]
    os.write(1, b"\x18\x1b[5n")
    seen = b""
    while b"\x1b[0n" not in seen:
        seen += os.read(0, 4096)
    with open(results, "w") as out:
        out.write(str(time.perf_counter() - start))
"""


class Attached:
    """A tmux server with one pane and one attached client."""

    def __init__(self, columns: int, rows: int) -> None:
        if shutil.which("tmux") is None:
            raise SystemExit("tmux is not installed; --no-tmux leaves it out")
        self._folder = Path(tempfile.mkdtemp())
        self._orders, self._results = self._folder / "orders", self._folder / "results"
        os.mkfifo(self._orders)
        os.mkfifo(self._results)
        (self._folder / "pane.py").write_text(_PANE)
        self._socket = str(self._folder / "s")
        pane = [sys.executable, "-IS", str(self._folder / "pane.py"), str(self._orders), str(self._results)]
        argv = ["tmux", "-u", "-f", "/dev/null", "-S", self._socket, "new-session", "-x", str(columns), "-y", str(rows),
                *pane, ";", "set", "status", "off"]  # fmt: skip
        self._client, self._terminal = pty.fork()
        if self._client == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvpe(
                "tmux", argv, {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "TMUX": ""}
            )
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            while os.read(self._terminal, 1 << 20):
                pass

    def run(self, data: bytes) -> float:
        """Seconds until tmux has read ``data``."""
        given = self._folder / "data"
        given.write_bytes(data)
        self._orders.write_text(str(given))
        return float(self._results.read_text())

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._client, signal.SIGTERM)
        os.waitpid(self._client, 0)
        os.close(self._terminal)
        shutil.rmtree(self._folder, ignore_errors=True)
