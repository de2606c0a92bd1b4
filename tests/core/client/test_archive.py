"""Trees go through a tar stream and come out the same; a hostile one writes nothing outside."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from sandtop.core.client.sdk.archive import Unpacker, top_name
from sandtop.core.client.sdk.packing import Packer
from sandtop.core.errors import StorageError

from ..tar.making import END, file, folder, hard_link, header, link, pax, sparse

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
    with (top / "holes").open("wb") as out:
        for at in (0, 3 << 20, 5 << 20):
            out.seek(at)
            out.write(b"data")
        out.truncate(64 << 20)
    (top / "below").chmod(0o500)
    for path in (top / "file", top / "below", top):
        os.utime(path, ns=(10**18 + 123456789, 10**18 + 123456789))
    os.utime(top / "holes", ns=(-500_000_000, -500_000_000))
    return top


def described(top: Path) -> dict[str, tuple[object, ...]]:
    """All that should survive a copy, by name."""
    found: dict[str, tuple[object, ...]] = {}
    for where, folders, files in os.walk(top):
        for name in [".", *folders, *files]:
            path = os.path.join(where, name)
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


def packed(*paths: str) -> io.BytesIO:
    packer = Packer(*paths)
    stream = io.BytesIO(b"".join(packer))
    assert packer.skipped.lines == []
    return stream


def test_a_tree_comes_out_the_same(tree: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    for target, result in ((into, into / "tree"), (into / "renamed", into / "renamed")):
        unpacker = Unpacker(os.fspath(target))
        unpacker.unpack(packed(os.fspath(tree)))
        assert unpacker.skipped.lines == []
        assert described(result) == described(tree)


def test_what_is_in_a_folder(tree: Path, tmp_path: Path) -> None:
    into, new = tmp_path / "into", tmp_path / "new"
    into.mkdir(mode=0o700)
    for target in (into, new):
        Unpacker(os.fspath(target), ["."]).unpack(packed(f"{tree}/."))
    assert described(new) == described(tree)
    there, made = described(into), described(tree)
    assert there.pop(".") != made.pop("."), "a folder that was there keeps its mode"
    assert there == made


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
    assert len(listed.stdout.splitlines()) == 12


def test_what_cannot_be_read_is_told(tree: Path) -> None:
    (tree / "file").unlink()
    packer = Packer(os.fspath(tree / "file"))
    stream = b"".join(packer)
    assert packer.skipped.count == 1
    assert "No such file" in packer.skipped.lines[0]
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
    assert "shorter" in packer.skipped.lines[0]


def test_several_sources_in_one_stream(tree: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    unpacker = Unpacker(os.fspath(into), ["file", "below"])
    unpacker.unpack(packed(os.fspath(tree / "below"), os.fspath(tree / "file")))
    assert unpacker.skipped.lines == []
    assert sorted(path.name for path in into.iterdir()) == ["below", "file"]
    assert (into / "file").samefile(into / "below" / "same")
    unpacker = Unpacker(os.fspath(tmp_path / "no-folder"), ["file", "below"])
    unpacker.unpack(packed(os.fspath(tree / "below"), os.fspath(tree / "file")))
    assert "more than one name" in unpacker.skipped.lines[0]


def used(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_holes_travel_as_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as out:
        out.seek(1 << 40)
        out.write(b"end")
        out.truncate(1 << 41)
    stream = packed(os.fspath(source))
    assert stream.getbuffer().nbytes < 100_000
    Unpacker(os.fspath(tmp_path / "copy")).unpack(stream)
    copy = tmp_path / "copy"
    assert copy.stat().st_size == 1 << 41
    assert used(copy) < 100_000
    with copy.open("rb") as back:
        back.seek(1 << 40)
        assert back.read(4) == b"end\0"


def test_gnu_tar_reads_holes(tree: Path, tmp_path: Path) -> None:
    subprocess.run(
        ["tar", "x", "-C", tmp_path], input=packed(os.fspath(tree / "holes")).read(), check=True, timeout=60
    )
    assert (tmp_path / "holes").read_bytes() == (tree / "holes").read_bytes()


def test_more_pieces_than_a_map_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandtop.core.client.sdk.packing.MAX_PIECES", 5)
    source = tmp_path / "source"
    with source.open("wb") as out:
        for at in range(20):
            out.seek(at << 20)
            out.write(b"%d" % at)
        out.truncate(21 << 20)
    stream = packed(os.fspath(source))
    Unpacker(os.fspath(tmp_path / "copy")).unpack(stream)
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


def test_files_that_do_not_tell_their_size(tmp_path: Path) -> None:
    """All of /proc says 0, of /sys a page."""
    for source in ("/proc/self/limits", "/sys/kernel/mm/transparent_hugepage/enabled"):
        Unpacker(os.fspath(tmp_path / "copy")).unpack(packed(source))
        with open(source, "rb") as original:
            assert (tmp_path / "copy").read_bytes() == original.read() != b""


@pytest.mark.parametrize(
    ("source", "name"),
    [("/etc/passwd", "passwd"), ("here", "here"), ("/", "."), ("/etc/.", "."), ("/etc/", "etc"), (".", ".")],
)
def test_the_name_at_the_top(source: str, name: str) -> None:
    assert top_name(source) == name


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of the operator, ``into``, beside one that nothing may come to, ``outside``."""
    (tmp_path / "outside").mkdir(mode=0o700)
    (tmp_path / "outside" / "file").write_text("untouched")
    (tmp_path / "into").mkdir(mode=0o750)
    (tmp_path / "into" / "mine").write_text("mine")
    return tmp_path


def unpacked(place: Path, target: str, *members: bytes, names: tuple[str, ...] = ()) -> list[str]:
    """What was left out, when a hostile sandbox sends ``members``."""
    unpacker = Unpacker(f"{place}/{target}", names)
    unpacker.unpack(io.BytesIO(b"".join((*members, END))))
    assert_untouched(place)
    return unpacker.skipped.lines


def assert_untouched(place: Path) -> None:
    outside, into = place / "outside", place / "into"
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "untouched"
    assert (outside / "file").stat().st_nlink == 1
    assert stat.S_IMODE(outside.stat().st_mode) == 0o700
    assert stat.S_IMODE(into.stat().st_mode) == 0o750
    assert (into / "mine").stat().st_nlink == 1
    assert sorted(path.name for path in place.iterdir()) == ["into", "outside"]


HOSTILE = {
    "a name that leads out": [file(b"x/../../outside/file")],
    "a name from the root": [file(b"/outside/file")],
    "through a link to a folder": [folder(b"x"), link(b"x/y", b"../../outside"), file(b"x/y/file")],
    "through a link to a file": [folder(b"x"), link(b"x/y", b"../../outside/file"), file(b"x/y")],
    "a hard link to what is outside": [folder(b"x"), hard_link(b"x/y", b"../outside/file")],
    "a hard link to a link": [
        folder(b"x"), link(b"x/y", b"../../outside/file"), hard_link(b"x/z", b"x/y"), file(b"x/z"),
    ],
    "a hard link through a link": [
        folder(b"x"), link(b"x/y", b"../../outside"), hard_link(b"x/z", b"x/y/file"),
    ],
    "a hard link to a folder": [folder(b"x"), folder(b"x/y"), hard_link(b"x/z", b"x/y")],
    "a folder where a link is": [folder(b"x"), link(b"x/y", b"../../outside"), folder(b"x/y", 0o777)],
    "a link where a folder was": [
        folder(b"x"), folder(b"x/y"), link(b"x/y", b"../../outside"), file(b"x/y/file"),
    ],
    "a device": [header(b"x", b"3", device=(1, 3)), header(b"y", b"4", device=(8, 0))],
    "a link at the top": [link(b"x", b"../outside"), file(b"x/file")],
    "a link at the top that looks deeper": [link(b"x/.", b"../outside"), file(b"x/file")],
    "a hard link at the top": [hard_link(b"x", b"x")],
    "no name": [file(b""), folder(b"")],
    "dots alone": [file(b"."), file(b"./."), link(b".", b"../outside"), file(b".."), folder(b"..", 0o777)],
    "the mode of a folder that was there": [folder(b".", 0o777), folder(b"./", 0o777)],
}  # fmt: skip


@pytest.mark.parametrize("members", HOSTILE.values(), ids=list(HOSTILE))
@pytest.mark.parametrize("target", ["into", "into/renamed"])
def test_nothing_is_written_outside(members: list[bytes], target: str, place: Path) -> None:
    unpacked(place, target, *members)
    assert not any(
        stat.S_ISCHR(path.lstat().st_mode) or stat.S_ISBLK(path.lstat().st_mode)
        for path in (place / "into").rglob("*")
    )


@pytest.mark.parametrize(
    "name", [".bashrc", ".ssh/authorized_keys", "./x", "mine", "REPORT.TXT", "report.txt "]
)
def test_only_what_was_asked_for_arrives(name: str, place: Path) -> None:
    for members in ([file(name.encode()), file(b"report.txt")], [file(b"report.txt"), file(name.encode())]):
        (place / "into" / "report.txt").unlink(missing_ok=True)
        (line,) = unpacked(place, "into", *members, names=("report.txt",))
        assert "not what was asked for" in line
        assert sorted(path.name for path in (place / "into").iterdir()) == ["mine", "report.txt"]
        assert (place / "into" / "mine").read_text() == "mine"


def test_the_second_copy_does_not_follow_what_the_first_left(place: Path) -> None:
    (line,) = unpacked(place, "into/out", link(b"out", b"../outside"), names=("out",))
    assert "a link to '../outside'" in line
    assert unpacked(place, "into/out", file(b"./file"), names=(".",)) == []
    assert (place / "into" / "out" / "file").read_bytes() == b"data"


def test_links_below_the_target_are_not_followed(place: Path) -> None:
    (place / "into" / "there").symlink_to(place / "outside")
    (line,) = unpacked(place, "into", file(b"there/file"), names=("there",))
    assert "not followed" in line
    (line,) = unpacked(place, "into", folder(b"there", 0o777), names=("there",))
    assert "not followed" in line


def test_a_file_takes_the_place_of_a_link_and_is_not_written_through_it(place: Path) -> None:
    (place / "into" / "x").symlink_to(place / "outside" / "file")
    assert unpacked(place, "into", file(b"x"), names=("x",)) == []
    assert not (place / "into" / "x").is_symlink()


def test_a_hard_link_to_a_file_that_was_there_is_refused(place: Path) -> None:
    (line,) = unpacked(place, "into", hard_link(b"./x", b"./mine"), names=(".",))
    assert "no file of this copy" in line


def test_a_hard_link_to_itself_keeps_the_file(place: Path) -> None:
    assert unpacked(place, "into", file(b"x"), hard_link(b"x", b"x")) == []
    assert (place / "into" / "x").read_bytes() == b"data"


def test_only_folders_of_this_copy_change_their_mode(place: Path) -> None:
    (place / "into" / "there").mkdir(mode=0o700)
    members = (folder(b"there", 0o777), folder(b"there/new", 0o707), file(b"there/new/x"))
    assert unpacked(place, "into", *members, names=("there",)) == []
    assert stat.S_IMODE((place / "into" / "there").stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "into" / "there" / "new").stat().st_mode) == 0o707
    assert (place / "into" / "there" / "new").stat().st_mtime == 10**9


@pytest.mark.parametrize("target", ["into", "into/x"])
def test_what_is_not_a_file_is_not_replaced(target: str, place: Path) -> None:
    """Nor opened: a FIFO would hold us up for ever."""
    os.mkfifo(place / "into" / "x")
    (line,) = unpacked(place, target, file(b"x"))
    assert "a FIFO is in its place" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a device")
@pytest.mark.parametrize("target", ["into", "into/x"])
def test_a_device_is_not_replaced(target: str, place: Path) -> None:
    os.mknod(place / "into" / "x", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (line,) = unpacked(place, target, file(b"x"))
    assert "a device is in its place" in line


def test_set_user_id_does_not_come_along(place: Path) -> None:
    unpacked(place, "into", folder(b"x", 0o6755), file(b"x/tool", mode=0o6755))
    for path in (place / "into" / "x", place / "into" / "x" / "tool"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_folders_nested_as_deep_as_names_reach(place: Path) -> None:
    """Neither descriptors nor the stack run out, and all get their modes and times."""
    depth = 1500
    members: list[bytes] = []
    for count in range(1, depth):
        members.append(pax((b"path", b"/".join([b"d"] * count))) + folder(b"d", 0o711))
    try:
        assert unpacked(place, "into", *members, file(b"d/d/last")) == []
        fd = os.open(place / "into", os.O_RDONLY)
        for _ in range(depth - 1):
            below = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
            assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o711
            assert os.fstat(fd).st_mtime == 10**9
        assert os.listdir(fd) == []
        os.close(fd)
    finally:
        subprocess.run(["rm", "-rf", place / "into" / "d"], check=True)


def test_descriptors_do_not_add_up(place: Path) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    members = [
        folder(b"d"),
        *(folder(b"d/%d" % at) for at in range(50)),
        *(file(b"d/%d/f" % at) for at in range(50)),
    ]
    members += [folder(b"d/0/f"), link(b"d/l", b"."), file(b"d/l/f"), hard_link(b"d/h", b"d/l/f")]
    unpacked(place, "into", *members)
    assert count() == before


def test_lists_of_what_is_left_out_are_bounded(place: Path) -> None:
    unpacker = Unpacker(f"{place}/into", ["x"])
    unpacker.unpack(io.BytesIO(pax((b"path", b"y" * 4000)) + file(b"y") + file(b"y\x1b[31m") * 5000 + END))
    assert unpacker.skipped.count == 5001
    assert len(unpacker.skipped.lines) < 100
    assert all(len(line) < 300 and line.isprintable() for line in unpacker.skipped.lines)


def test_a_sparse_file_takes_no_more_than_it_carried(place: Path) -> None:
    unpacked(place, "into", sparse(b"s", 3 << 30, b"1\n%d\n4\n" % (1 << 30), b"data"))
    path = place / "into" / "s"
    assert path.stat().st_size == 3 << 30
    assert used(path) < 100_000
    lines = unpacked(place, "into", sparse(b"s", (1 << 63) - 1, b"0\n"))
    if lines:  # ext4 has no files of that size
        assert "too large" in lines[0]
        assert not path.exists()
    else:  # a tmpfs has, all of them hole
        assert used(path) < 100_000


@pytest.mark.parametrize("mtime", [-1.5, 0, 2**40, 2**63 - 1])
def test_times_of_any_kind(mtime: float, place: Path) -> None:
    assert (
        unpacked(place, "into", pax((b"mtime", b"%.1f" % mtime if mtime < 0 else b"%d" % mtime)) + file(b"x"))
        == []
    )
    if mtime < 2**32:
        assert (place / "into" / "x").stat().st_mtime == mtime


@pytest.mark.parametrize("data", [b"not a tar" * 100, b""])
def test_what_is_no_archive_is_an_error(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="archive"):
        Unpacker(os.fspath(tmp_path)).unpack(io.BytesIO(data))


@pytest.mark.parametrize(
    "rest", [b"", file(b"x/c", bytes(5000))[:3000], pax((b"size", b"9" * 400)) + file(b"x/c"), b"\1" * 512]
)
def test_what_was_copied_before_an_error_stays(rest: bytes, place: Path) -> None:
    unpacker = Unpacker(f"{place}/into", ["x"])
    with pytest.raises(StorageError, match="stays: 2 entries, 1 were left out"):
        unpacker.unpack(io.BytesIO(folder(b"x", 0o711) + file(b"x/a") + file(b"y") + rest))
    assert stat.S_IMODE((place / "into" / "x").stat().st_mode) == 0o711
    assert [path.name for path in (place / "into" / "x").iterdir()] == ["a"], "half of a file is not kept"


@pytest.mark.parametrize("target", ["no/such", "", "no/../.."])
def test_a_target_that_is_not_there_is_an_error(target: str, place: Path, tree: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        Unpacker(target and f"{place}/{target}").unpack(packed(os.fspath(tree)))
