"""Trees go through a tar stream and come out the same; a hostile one writes nothing outside."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from sandtop.core.client.archive import Packer, Unpacker
from sandtop.core.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with one of everything."""
    top = tmp_path / "tree"
    (top / "below" / "empty").mkdir(parents=True)
    (top / "file").write_bytes(os.urandom(600_000))
    (top / "file").chmod(0o640)
    (top / "below" / "script").write_text("#!/bin/sh\n")
    (top / "below" / "script").chmod(0o755)
    (top / "link").symlink_to("file")
    (top / "dangling").symlink_to("/nowhere")
    os.link(top / "file", top / "below" / "same")
    (top / os.fsdecode(b"not utf-8 \xff")).write_text("x")
    (top / ("long" * 40)).write_text("")
    os.mkfifo(top / "fifo", 0o600)
    (top / "below").chmod(0o500)
    for path in (top / "file", top / "below", top):
        os.utime(path, ns=(10**18 + 123456789, 10**18 + 123456789))
    return top


def described(top: Path) -> dict[str, tuple[object, ...]]:
    """All that should survive a copy, by name."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(top):
        for name in [".", *folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content: object = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            size = status.st_nlink if stat.S_ISREG(status.st_mode) else 0
            found[os.path.relpath(path, top)] = (status.st_mode, size, status.st_mtime_ns, content)
    return found


def packed(path: str) -> io.BytesIO:
    packer = Packer(path)
    stream = io.BytesIO(b"".join(packer))
    assert packer.skipped == []
    return stream


def test_a_tree_comes_out_the_same(tree: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    for target, result in ((into, into / "tree"), (into / "renamed", into / "renamed")):
        unpacker = Unpacker(os.fspath(target))
        unpacker.unpack(packed(os.fspath(tree)))
        assert unpacker.skipped == []
        assert described(result) == described(tree)


def test_what_is_in_a_folder(tree: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    Unpacker(os.fspath(into)).unpack(packed(f"{tree}/."))
    assert described(into) == described(tree)


def test_one_file_under_its_own_and_another_name(tree: Path, tmp_path: Path) -> None:
    for target in (tmp_path / "other", tmp_path):
        Unpacker(os.fspath(target)).unpack(packed(os.fspath(tree / "file")))
    assert (
        (tmp_path / "other").read_bytes() == (tmp_path / "file").read_bytes() == (tree / "file").read_bytes()
    )


def test_tar_itself_reads_it(tree: Path) -> None:
    listed = subprocess.run(
        ["tar", "t"], input=packed(os.fspath(tree)).read(), capture_output=True, check=True
    )
    assert len(listed.stdout.splitlines()) == 11


def test_what_cannot_be_read_is_told(tree: Path) -> None:
    (tree / "file").unlink()
    packer = Packer(os.fspath(tree / "file"))
    stream = b"".join(packer)
    assert len(packer.skipped) == 1
    assert "No such file" in packer.skipped[0]
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert archive.getnames() == []


def test_a_file_that_shrinks_keeps_the_archive_whole(tree: Path) -> None:
    packer = Packer(os.fspath(tree / "file"))
    chunks = iter(packer)
    stream = next(chunks) + next(chunks)
    os.truncate(tree / "file", 300_000)
    stream += b"".join(chunks)
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        (member,) = archive.getmembers()
    assert member.size == 600_000
    assert "shorter" in packer.skipped[0]


def _member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o644
    data = b"written" if kind == tarfile.REGTYPE else b""
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


HOSTILE = {
    "a name that leads out": [_member("../outside/file")],
    "a name from the root": [_member("/outside/file")],
    "through a link to a folder": [_member("x", tarfile.SYMTYPE, linkname="../outside"), _member("x/file")],
    "through a link to a file": [_member("x", tarfile.SYMTYPE, linkname="../outside/file"), _member("x")],
    "through a deeper link": [
        _member("d", tarfile.DIRTYPE, mode=0o755),
        _member("d/x", tarfile.SYMTYPE, linkname="../../outside"),
        _member("d/x/file"),
    ],
    "a hard link to what is outside": [
        _member("x", tarfile.LNKTYPE, linkname="../outside/file"),
        _member("x"),
    ],
    "a hard link to a link": [
        _member("x", tarfile.SYMTYPE, linkname="../outside/file"),
        _member("y", tarfile.LNKTYPE, linkname="x"),
        _member("y"),
    ],
    "a folder where a link is": [
        _member("x", tarfile.SYMTYPE, linkname="../outside"),
        _member("x", tarfile.DIRTYPE, mode=0o777),
    ],
    "a device": [_member("x", tarfile.CHRTYPE, devmajor=1, devminor=3)],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=list(HOSTILE))
@pytest.mark.parametrize("target", ["into", "into/renamed"])
def test_nothing_is_written_outside(
    members: list[tuple[tarfile.TarInfo, bytes]], target: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "file").write_text("untouched")
    (tmp_path / "into").mkdir()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    stream.seek(0)
    Unpacker(os.fspath(tmp_path / target)).unpack(stream)
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "untouched"
    assert stat.S_IMODE(outside.stat().st_mode) == 0o700
    assert not any(stat.S_ISCHR(path.lstat().st_mode) for path in (tmp_path / "into").rglob("*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["into", "outside"]


def test_set_user_id_does_not_come_along(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info, data = _member("tool", mode=0o6755)
        archive.addfile(info, io.BytesIO(data))
    stream.seek(0)
    Unpacker(os.fspath(tmp_path)).unpack(stream)
    assert stat.S_IMODE((tmp_path / "tool").stat().st_mode) == 0o755


@pytest.mark.parametrize("data", [b"not a tar" * 100, b""])
def test_what_is_no_archive_is_an_error(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="archive"):
        Unpacker(os.fspath(tmp_path)).unpack(io.BytesIO(data))


def test_a_target_that_is_not_there_is_an_error(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        Unpacker(os.fspath(tmp_path / "no" / "such")).unpack(packed(os.fspath(tree)))
