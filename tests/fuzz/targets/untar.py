"""Copies out of a sandbox that sends whatever it likes: nothing lands outside, or at the top but what was asked for."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.core.tar.hostile import ARCHIVES
from tests.core.tar.making import END, file, folder, hard_link, link, pax, sparse
from tests.fuzz.target import Budget
from tests.fuzz.tars import archive, summed

from sandtop.core.client.sdk.archive import Unpacker
from sandtop.core.errors import StorageError

if TYPE_CHECKING:
    import random

_WAYS: Final = (
    ("into", "x"), ("into", "."), ("into/new", "x"), ("into/new", "."), ("into/pipe", "x"), ("into/way", "x"),
)  # fmt: skip
"""The target, and the name that was asked for."""
_ENTRY: Final = 8192
"""Bytes of the disk that a name takes at most beside its content: a folder's block, and the last of a file."""


class _Untar:
    budget: Final = Budget(cpu=0.5, cpu_per_kib=0.02, memory=64 << 20, hang=20.0)
    seeds: Final = (
        folder(b"x") + file(b"x/f") + hard_link(b"x/g", b"x/f") + link(b"x/l", b"f") + END,
        folder(b"./") + file(b"./f", bytes(3000)) + sparse(b"./s", 1 << 20, b"1\n4096\n4\n", b"data") + END,
        pax((b"path", b"x"), (b"mtime", b"1.5")) + file(b"y") + END,
        *(data for data in ARCHIVES.values() if len(data) < 8192),
    )
    mutate: Final = True

    def generate(self, rng: random.Random) -> bytes:
        return archive(rng)

    def run(self, data: bytes) -> None:
        data = summed(data)
        target, name = _WAYS[zlib.crc32(data) % len(_WAYS)]
        place = Path(tempfile.mkdtemp(prefix="untar-"))
        try:
            _furnish(place)
            descriptors = len(os.listdir("/proc/self/fd"))
            unpacker = Unpacker(f"{place}/{target}", [name])
            message = ""
            try:
                unpacker.unpack(io.BytesIO(data))
            except StorageError as error:
                message = error.message
            assert len(message) < 600, "a message without end"
            assert message.isprintable(), "a message that a terminal might obey"
            assert len(os.listdir("/proc/self/fd")) == descriptors, "descriptors are left open"
            assert len(unpacker.skipped.lines) <= 20
            assert all(len(line) < 600 and line.isprintable() for line in unpacker.skipped.lines)
            _check(place, target, name, data)
        finally:
            _remove(place)


def _furnish(place: Path) -> None:
    """What is there before: a folder ``into`` of the operator's, and one beside it that nothing may come to."""
    (place / "outside").mkdir(mode=0o700)
    (place / "outside" / "file").write_text("untouched")
    into = place / "into"
    into.mkdir(mode=0o750)
    (into / "mine").write_text("mine")
    (into / "there").mkdir(mode=0o710)
    (into / "way").symlink_to("../outside")
    os.mkfifo(into / "pipe", 0o600)


def _remove(place: Path) -> None:
    try:
        shutil.rmtree(place)
    except (OSError, RecursionError):  # closed to others than root, or too deep
        subprocess.run(["chmod", "-R", "u+rwx", place], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", place], check=True)


def _check(place: Path, target: str, name: str, data: bytes) -> None:
    outside, into = place / "outside", place / "into"
    # the operator's own link may lead there, as the target: then it is a target like any other
    followed = target == "into/way"
    arrives = {"x"} if followed else set[str]()
    assert {path.name for path in outside.iterdir()} <= {"file"} | arrives
    assert (outside / "file").read_text() == "untouched"
    assert (outside / "file").stat().st_nlink == 1
    assert {path.name for path in place.iterdir()} == {"outside", "into"}
    modes = [stat.S_IMODE((place / path).stat().st_mode) for path in ("outside", "into", "into/there")]
    assert modes == [0o700, 0o750, 0o710], "the mode of a folder that was there"
    assert stat.S_ISFIFO((into / "pipe").lstat().st_mode) or (target, name) == ("into", ".")
    mine = into / "mine"
    # what is in a folder may be replaced by what is in that folder of the sandbox, but not given another name
    if mine.is_file() and not mine.is_symlink() and mine.stat().st_size == 4 and mine.read_bytes() == b"mine":
        assert mine.stat().st_nlink == 1
    if (target, name) != ("into", "."):
        allowed = {"mine", "there", "way", "pipe", {"into": "x", "into/new": "new"}.get(target, "")}
        assert {path.name for path in into.iterdir()} <= allowed, "more than was asked for"
        assert mine.read_text() == "mine"
        assert (into / "way").is_symlink()
        assert not list((into / "there").iterdir())
        for top in (into / "x", into / "new", outside / "x"):
            assert not top.is_symlink(), "a link at the top"
    taken = 0
    for folder_, folders, files in os.walk(place):
        for entry in (*folders, *files):
            status = os.lstat(os.path.join(folder_, entry))
            kind = stat.S_IFMT(status.st_mode)
            assert kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO), "a device"
            assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID), "set-user-ID"
            taken += max(0, status.st_blocks * 512 - _ENTRY)
    assert taken <= len(data) + (1 << 16), f"{taken} bytes of the disk for {len(data)}"


TARGET: Final = _Untar()
