"""``just bench files``: files in place beside what was there before: `exec cat`, and `cp`.

    python bench/files/run.py [--mib N] [--entries N] [--turns N]

Each pair takes turns in one sandbox, and the median of each counts; the ratio is that of files in place to the other:
below 1.00 is faster. What is compared:

- 1 KiB read and written, beside ``exec cat FILE`` and ``exec -i sh -c 'cat > FILE'``
- many MiB (100) read and written, beside the same, and beside `upload` and `download`, which stream a tar
- a folder of many entries (100,000) listed with all that is known of each, beside ``exec ls -lU``
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop import Exited, Stdout
from sandtop.core.client.link import stop_core
from sandtop.core.errors import SandtopError
from sandtop.sync import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    Way = Callable[[], object]

_SMALL_ROUNDS: Final = 15
_MAKE: Final = """
import os, sys
os.makedirs("/tmp/many", exist_ok=True)
for n in range(int(sys.argv[1])):
    os.close(os.open(f"/tmp/many/file-{n:07}", os.O_CREAT | os.O_WRONLY))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mib", type=int, default=100)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    home = os.environ.get("SANDTOP_HOME")
    with tempfile.TemporaryDirectory(prefix="st-") as folder:
        if home is not None:
            os.symlink(Path(home) / "cache", Path(folder) / "cache")
        os.environ["SANDTOP_HOME"] = folder
        try:
            with Sandbox.create("files", memory=1024, disk=2048) as box:
                _small(box)
                _large(box, options.mib, options.turns, Path(folder))
                _listing(box, options.entries, options.turns)
        finally:
            with suppress(SandtopError):
                stop_core(machines=True)


def _small(box: Sandbox) -> None:
    data = os.urandom(1024)
    box.files.write("/tmp/small", data)
    _compare(
        "1 KiB read", "exec cat",
        lambda: box.files.read("/tmp/small"), lambda: box.exec("cat", ["/tmp/small"]), _SMALL_ROUNDS,
    )  # fmt: skip
    script = "cat > /tmp/small2"
    _compare(
        "1 KiB written", "exec cat >",
        lambda: box.files.write("/tmp/small", data), lambda: box.shell(script, stdin=data), _SMALL_ROUNDS,
    )  # fmt: skip


def _large(box: Sandbox, mib: int, turns: int, folder: Path) -> None:
    data = os.urandom(mib << 20)
    (folder / "large").write_bytes(data)

    def read() -> None:
        assert sum(map(len, box.files.read_chunks("/tmp/large"))) == len(data)

    def cat() -> None:
        with box.exec_stream("cat", ["/tmp/large"]) as process:
            assert sum(len(event.data) for event in process if isinstance(event, Stdout)) == len(data)

    def cat_into() -> None:
        with box.exec_stream("sh", ["-c", "cat > /tmp/large2"], stdin=True) as process:
            process.stdin.send(data)
            process.stdin.close()
            assert [event.record.exit_code for event in process if isinstance(event, Exited)] == [0]

    def write() -> None:
        box.files.write("/tmp/large", data)

    upload, download = str(folder / "large"), str(folder / "back")
    _compare(f"{mib} MiB written", "exec cat >", write, cat_into, turns)
    _compare(f"{mib} MiB written", "upload", write, lambda: box.upload(upload, "/tmp/large3"), turns)
    _compare(f"{mib} MiB read", "exec cat", read, cat, turns)
    _compare(f"{mib} MiB read", "download", read, lambda: box.download("/tmp/large3", download), turns)


def _listing(box: Sandbox, entries: int, turns: int) -> None:
    box.exec("python3", ["-c", _MAKE, str(entries)], timeout=600)

    def listed() -> None:
        assert len(box.files.list("/tmp/many")) == entries

    def ls() -> None:
        output = box.exec("ls", ["-lU", "/tmp/many"], max_output=64 << 20)
        assert output.stdout.count(b"\n") == entries + 1

    _compare(f"{entries:,} entries listed", "exec ls -lU", listed, ls, turns)


def _compare(what: str, beside: str, ours: Way, theirs: Way, turns: int) -> None:
    """Both in turns, after one of each that does not count."""
    times: tuple[list[float], list[float]] = [], []
    for turn in range(turns + 1):
        for way, found in zip((ours, theirs), times, strict=True):
            begun = time.perf_counter()
            way()
            if turn:
                found.append(time.perf_counter() - begun)
    mine, other = (statistics.median(found) for found in times)
    sys.stdout.write(
        f"{what:<24} {mine * 1000:9.1f} ms   {beside:<12} {other * 1000:9.1f} ms   ratio {mine / other:.2f}\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
