"""The console's weight and quickness: through the real widgets and driver, on a pty of 200×50.

Run ``just bench console``. The core is a recorded one with 200 sandboxes that change at 2 Hz (`recorded.py`); a
terminal pane and a log pane are then flooded, and a log is tailed as fast as it comes. ``--home DIR`` measures the list
of a core that runs there, with its real machines; one of them must be called ``box-000``. With ``--floods`` the panes
are flooded there too, by two more machines. `real.py` starts machines for that, in a home of their own:

    python bench/console/real.py /tmp/real
    python bench/console/run.py --home /tmp/real --rows 30 --terminals 200 --floods
    python bench/console/real.py /tmp/real --end
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import random
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

ROWS, COLUMNS = 50, 200
FRAME = 1 / 60
FLOODED = 100_000
"""Bytes that a console writes in two seconds at least when both its panes are flooded; with one it is a tenth."""
STARTS = 5
CURSOR = "❯".encode()
GOALS = {
    "first paint": 0.5, "cpu": 6.0, "p95": 0.050, "p95 moving": 0.050, "p95 preview": 0.050, "p95 flooded": 0.050,
    "slice": 0.025, "growth": 20.0,
}  # fmt: skip


def surroundings(home: str) -> dict[str, str]:
    """The environment of whatever is measured: with byte code, as an installed one has."""
    terminal = {"SANDTOP_HOME": home, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    return {**os.environ, **terminal, "PYTHONDONTWRITEBYTECODE": ""}


class Console:
    """A console on a pty, and all that it has written. ``slices``: a file for the turns of its loop (`sliced.py`)."""

    def __init__(self, home: str, slices: Path | None = None) -> None:
        program = ["-m", "sandtop"]
        if slices is not None:
            program = [str(Path(__file__).with_name("sliced.py")), str(slices)]
        self._slices = slices
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = surroundings(home)
        for remembered in Path(home).rglob("console.json"):
            remembered.unlink()  # how the console before it sorted its list
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *program], stdin=slave, stdout=slave, stderr=slave, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self._master = master
        self._written = bytearray()
        self._came = threading.Condition()
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        while True:
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:
                return
            with self._came:
                self._written += data
                del self._written[: -(4 << 20)]
                self._came.notify_all()

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def until(self, text: bytes, seconds: float = 30.0) -> float:
        """Wait for ``text`` in what is written from now on; how long that took."""
        begun = time.monotonic()
        with self._came:
            if not self._came.wait_for(lambda: text in self._written, seconds):
                raise TimeoutError(f"{text.decode()} did not come within {seconds:.0f} s")
        return time.monotonic() - begun

    def forget(self) -> None:
        with self._came:
            self._written.clear()

    @property
    def wrote(self) -> int:
        """Bytes since `forget`."""
        with self._came:
            return len(self._written)

    def answer(self, keys: bytes, text: bytes) -> float:
        """Seconds from a key press to ``text`` on the pty."""
        self.forget()
        begun = time.monotonic()
        self.press(keys)
        self.until(text)
        return time.monotonic() - begun

    @property
    def spent(self) -> float:
        """Seconds of processor time so far."""
        return self._ticks() / os.sysconf("SC_CLK_TCK")

    def cpu(self, seconds: float) -> float:
        """Percent of one core over ``seconds``."""
        before, at = self._ticks(), time.monotonic()
        time.sleep(seconds)
        return (self._ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - at) * 100

    def _ticks(self) -> int:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def slices(self) -> list[float]:
        """Seconds of its own processor time that the longest turns of its loop took, since this was asked last."""
        assert self._slices is not None
        self._slices.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        while not self._slices.exists():
            time.sleep(0.05)
        return [float(line.split()[0]) / 1e3 for line in self._slices.read_text().splitlines()]

    @property
    def megabytes(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def report(name: str, value: float, shown: str) -> None:
    goal = GOALS.get(name)
    verdict = "" if goal is None else "  ok" if value <= goal else f"  MISSED (goal {goal})"
    print(f"{name:<22} {shown}{verdict}", flush=True)


def latencies(console: Console, pairs: list[tuple[bytes, bytes]], count: int) -> list[float]:
    found: list[float] = []
    for number in range(count):
        time.sleep(random.uniform(0.05, 0.2))  # not in step with anything
        found.append(console.answer(*pairs[number % len(pairs)]))
    return found


def measure_start(home: str) -> None:
    """The first start writes the byte code; the bare import is Textual's own share, which nothing here can change."""
    walls: list[float] = []
    owns: list[float] = []
    bare: list[float] = []
    for number in range(STARTS + 1):
        console = Console(home)
        console.until(b"box-000")
        wall, own = time.monotonic() - console.begun, console.spent
        console.close()
        child = subprocess.Popen([sys.executable, "-c", "import textual.app"], env=surroundings(home))
        _, _, used = os.wait4(child.pid, 0)
        child.returncode = 0
        if number:
            walls.append(wall)
            owns.append(own)
            bare.append(used.ru_utime + used.ru_stime)
    wall, own, least = statistics.median(walls), statistics.median(owns), statistics.median(bare)
    shown = f"{wall:.2f} s from exec to the first sandbox; {own:.2f} s of processor time"
    report("first paint", wall, f"{shown}, {own / least:.1f} times an import of Textual")


def measure_list(console: Console, presses: int) -> None:
    console.press(b"Sng")
    time.sleep(3)
    percent = console.cpu(10)
    report("cpu", percent, f"{percent:.1f} % of a core, list at 2 Hz")
    found = latencies(console, [(b"j", CURSOR), (b"k", CURSOR)], presses)
    report(
        "p95", p95(found), f"p50 {statistics.median(found) * 1e3:.0f} ms, p95 {p95(found) * 1e3:.0f} ms, list"
    )


def measure_previews(console: Console, rows: int) -> None:
    """Down through all rows, each with the preview of its session beside the list."""
    console.press(b"g")  # it is sorted by name already
    time.sleep(2)
    move_through(console, rows - 1, "list", first=3)  # those before flood


def measure_terminals(console: Console, rows: int) -> None:
    """Down through the list of all running terminals, each with its screen beside it."""
    console.answer(b"A", b"SESSION")
    time.sleep(2)
    move_through(console, rows - 1, "terminals")
    console.press(b"q")
    time.sleep(0.5)


def move_through(console: Console, moves: int, what: str, *, first: int = 0) -> None:
    """Press ``j`` so often. Each session has written ``shown by`` and its sandbox, but not as its last line."""
    keys: list[float] = []
    seen: list[float] = []
    for number in range(1, moves + 1):
        time.sleep(random.uniform(0.05, 0.15))
        begun = time.monotonic()
        keys.append(console.answer(b"j", CURSOR))
        if number >= first:
            console.until(b"shown by box-")
            seen.append(time.monotonic() - begun)
    for name, found, which in (("p95 moving", keys, "the cursor"), ("p95 preview", seen, "the preview")):
        shown = f"p50 {statistics.median(found) * 1e3:.0f} ms, p95 {p95(found) * 1e3:.0f} ms"
        report(name, p95(found), f"{shown}, {which}, through {moves} rows of the {what}")


def measure_floods(console: Console, presses: int) -> None:
    """The second sandbox logs 10 MB/s into one pane; the first floods a terminal, which has the keyboard."""
    console.press(b"Sngj")
    console.answer(b"l", b"serve")
    console.until(b"following")
    console.press(b"q")
    console.press(b"g")
    console.answer(b"\r", b"SESSION")
    console.answer(b"a", b"F12 out")
    console.forget()
    time.sleep(2)
    assert console.wrote > FLOODED, "nothing floods the terminal"
    console.slices()
    found = latencies(console, [(b"\x1b[24~", b"stepped out"), (b"\x1b[24~", b"F12 out")], presses)
    slices = console.slices()
    above = sum(spent > FRAME for spent in slices)
    report(
        "slice",
        slices[0],
        f"{slices[0] * 1e3:.0f} ms the longest turn of the loop, {above} above a frame of 60",
    )
    shown = f"p50 {statistics.median(found) * 1e3:.0f} ms, p95 {p95(found) * 1e3:.0f} ms, flooded"
    report("p95 flooded", p95(found), shown)
    percent = console.cpu(5)
    report("cpu flooded", percent, f"{percent:.0f} % of a core")


@contextmanager
def flooding(home: str) -> Generator[None]:
    """Two real machines, the first by name: one scrolls coloured lines on a terminal, one logs some 10 MB/s."""
    lines = "seq 100000 | sed 's/.*/\x1b[3&m line & of a file that somebody prints by mistake\x1b[m/' > /tmp/lines"
    scroll = f"{lines}; while :; do cat /tmp/lines; done"
    serve = f"{lines}; while :; do head -c 2000000 /tmp/lines; sleep 0.2; done # serve"
    with ExitStack() as stack:
        for name, options, script in (("0-scroll", ["-dt"], scroll), ("0-serve", ["-d"], serve)):
            sandtop(home, "create", name)
            stack.callback(sandtop, home, "rm", "--force", name)
            sandtop(home, "exec", *options, name, "--", "sh", "-c", script)
        time.sleep(3)  # until they have made their lines
        yield


def sandtop(home: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "sandtop", *arguments],
        env=surroundings(home),
        stdout=subprocess.DEVNULL,
        check=True,
    )


def measure_memory(console: Console, megabytes: int) -> None:
    """``box-002`` is tailed as fast as it comes; its title tells how far it is by its lines."""
    console.press(b"gjj")
    console.answer(b"l", b"huge")
    time.sleep(5)
    first, begun = console.megabytes, time.monotonic()
    console.press(b"")
    time.sleep(megabytes / 40)  # it takes 40 MB/s and more
    growth = console.megabytes - first
    report(
        "growth",
        growth,
        f"{growth:.0f} MB more after {time.monotonic() - begun:.0f} s of tailing; {first:.0f} before",
    )


def run_list(home: str, presses: int, rows: int, terminals: int) -> None:
    console = Console(home)
    console.until(b"box-000")
    measure_list(console, presses)
    measure_previews(console, rows)
    if terminals:
        measure_terminals(console, terminals)
    console.close()


def run_floods(home: str, folder: Path, presses: int) -> None:
    console = Console(home, folder / "slices")
    console.until(b"box-000")
    measure_floods(console, presses)
    console.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", help="measure the core of this SANDTOP_HOME instead of a recorded one")
    parser.add_argument(
        "--floods", action="store_true", help="flood the panes of the console with --home, too"
    )
    parser.add_argument("--presses", type=int, default=80)
    parser.add_argument(
        "--rows",
        type=int,
        default=200,
        help="rows that the cursor moves through; each one's session has written: shown by box-NNN",
    )
    parser.add_argument(
        "--terminals", type=int, default=0, help="rows of the list of terminals that it moves through"
    )
    parser.add_argument("--memory", type=int, default=1000, metavar="MB", help="how much to tail (0: do not)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stb") as folder:
        home = options.home or folder
        core = None
        if not options.home:
            environment = {**os.environ, "SANDTOP_HOME": home}
            program = [sys.executable, str(Path(__file__).with_name("recorded.py"))]
            core = subprocess.Popen(program, env=environment, stdout=subprocess.PIPE)
            assert core.stdout is not None
            core.stdout.readline()
        try:
            measure_start(home)
            run_list(home, options.presses, options.rows, options.terminals)
            if not options.home:
                run_floods(home, Path(folder), options.presses)
            elif options.floods:
                with flooding(home):
                    run_floods(home, Path(folder), options.presses)
            if options.memory and not options.home:
                console = Console(home)
                console.until(b"box-000")
                console.press(b"Sn")
                measure_memory(console, options.memory)
                console.close()
        finally:
            if core is not None:
                core.kill()
                core.wait()


if __name__ == "__main__":
    main()
