"""Files whose size is not their content: with holes, of /proc and /sys, growing and shrinking while they are copied."""

from __future__ import annotations

import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from sandtop.agent import tar_content
from sandtop.agent.tar_content import Content

from .test_tar import archive, code, create, extract

if TYPE_CHECKING:
    from pathlib import Path

    from .core_side import CoreSide

pytestmark = pytest.mark.slow

MIB = 1 << 20


def sparse(path: Path, size: int, *pieces: tuple[int, bytes]) -> Path:
    with path.open("wb") as file:
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    return path


FILES: dict[str, tuple[int, list[tuple[int, bytes]]]] = {
    "nothing but a hole": (256 * MIB, []),
    "a hole first": (3 * MIB, [(2 * MIB, b"x" * MIB)]),
    "a hole last": (3 * MIB, [(0, b"x" * 5000)]),
    "a hole between": (9 * MIB, [(0, b"x" * 8192), (8 * MIB, b"y" * MIB)]),
    "many holes": (16 * MIB, [(n * 65536, b"n" * 4096) for n in range(200)]),
    "beyond 8 GiB": (12 << 30, [(0, b"begin"), (10 << 30, b"far")]),
    "not UTF-8 \udcff": (MIB, [(0, b"x")]),
    "ü" * 60: (MIB, [(4096, b"x")]),
    "l" * 200: (MIB, [(4096, b"x")]),
}


def assert_same(copy: Path, size: int, pieces: list[tuple[int, bytes]]) -> None:
    status = copy.stat()
    assert status.st_size == size
    # the file system may fill gaps of less than its block, and take some for its own tables
    assert status.st_blocks * 512 < sum(len(data) for _, data in pieces) + 8192 * (len(pieces) + 2)
    with copy.open("rb") as file:
        for offset, data in pieces:
            file.seek(offset)
            assert file.read(len(data)) == data
        end = 0
        for offset, data in [*pieces, (size, b"")]:
            file.seek(end)
            assert file.read(min(offset - end, MIB)).count(0) == min(offset - end, MIB)
            end = offset + len(data)


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_holes_goes_out_and_comes_back_with_them(
    core: CoreSide, tmp_path: Path, name: str
) -> None:
    size, pieces = FILES[name]
    sparse(tmp_path / name, size, *pieces)
    out = create(core, tmp_path / name)
    assert (code(out), out.stderr) == (0, b"")
    assert len(out.stdout) < sum(len(data) for _, data in pieces) + 8192 * (len(pieces) + 2)
    (tmp_path / "into").mkdir()
    into = extract(core, tmp_path / "into", out.stdout)
    assert (code(into), into.stderr) == (0, b"")
    assert_same(tmp_path / "into" / name, size, pieces)


def test_what_is_beside_a_file_with_holes_is_whole(core: CoreSide, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "before").write_bytes(b"b" * 1000)
    sparse(source / "holes", 5 * MIB, (MIB, b"data"))
    os.link(source / "holes", source / "its twin")
    (source / "later").write_bytes(b"l" * 1000)
    (tmp_path / "into").mkdir()
    into = extract(core, tmp_path / "into", create(core, f"{source}/.").stdout)
    assert (code(into), into.stderr) == (0, b"")
    copied = tmp_path / "into"
    assert (copied / "before").read_bytes() == b"b" * 1000
    assert (copied / "later").read_bytes() == b"l" * 1000
    assert (copied / "its twin").stat().st_ino == (copied / "holes").stat().st_ino
    assert_same(copied / "holes", 5 * MIB, [(MIB, b"data")])


@pytest.mark.parametrize("name", [name for name in FILES if name != "beyond 8 GiB"])
def test_gnu_tar_reads_what_we_write(core: CoreSide, tmp_path: Path, name: str) -> None:
    size, pieces = FILES[name]
    sparse(tmp_path / name, size, *pieces)
    (tmp_path / "into").mkdir()
    out = create(core, tmp_path / name)
    subprocess.run(["tar", "-x", "-C", tmp_path / "into"], input=out.stdout, check=True)
    assert_same(tmp_path / "into" / name, size, pieces)


@pytest.mark.parametrize("form", ["gnu", "posix 0.0", "posix 0.1", "posix 1.0"])
@pytest.mark.parametrize("name", ["nothing but a hole", "a hole first", "a hole last", "many holes"])
def test_we_read_the_holes_that_gnu_tar_writes(core: CoreSide, tmp_path: Path, name: str, form: str) -> None:
    size, pieces = FILES[name]
    sparse(tmp_path / "file", size, *pieces)
    (tmp_path / "other").write_bytes(b"other")
    kind, _, version = form.partition(" ")
    options = [f"--format={kind}", *([f"--sparse-version={version}"] if version else [])]
    made = subprocess.run(
        ["tar", "-c", "-S", *options, "-C", tmp_path, "file", "other"], stdout=subprocess.PIPE, check=True
    )
    (tmp_path / "into").mkdir()
    into = extract(core, tmp_path / "into", made.stdout)
    assert (code(into), into.stderr) == (0, b"")
    assert_same(tmp_path / "into" / "file", size, pieces)
    assert (tmp_path / "into" / "other").read_bytes() == b"other"


def test_files_that_do_not_know_their_size_are_copied_with_their_content(
    core: CoreSide, tmp_path: Path
) -> None:
    paths = (
        "/proc/version",
        "/proc/filesystems",
        "/sys/kernel/fscaps",
    )  # which stat(2) calls 0, 0 and 4096 bytes
    into = extract(core, tmp_path, create(core, *paths).stdout)
    assert (code(into), into.stderr) == (0, b"")
    for path in paths:
        with open(path, "rb") as file:
            content = file.read()
        assert content
        assert (tmp_path / os.path.basename(path)).read_bytes() == content


def test_one_that_cannot_be_read_is_said_and_the_others_are_copied(core: CoreSide, tmp_path: Path) -> None:
    out = create(core, "/proc/self/mem", "/proc/version")
    assert code(out) == 1
    assert b"/proc/self/mem: Input/output error" in out.stderr
    assert code(extract(core, tmp_path, out.stdout)) == 0
    assert os.listdir(tmp_path) == ["version"]


def test_of_one_without_an_end_the_beginning_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/proc/version", "rb") as file:
        whole = file.read()
        monkeypatch.setattr(tar_content, "MOST_UNSIZED", 10)
        file.seek(0)
        content = Content(file.fileno())
        assert (content.cut, content.length) == (True, 10)
        assert b"".join(content.pieces(_raise)) == whole[:10] + bytes(502)


def _raise(error: OSError) -> None:
    raise error


@pytest.mark.parametrize("holes", [True, False])
@pytest.mark.parametrize("change", [b"", b"x" * 3 * MIB])
def test_a_file_that_changes_while_it_is_copied_keeps_the_length_that_was_said(
    tmp_path: Path, change: bytes, holes: bool
) -> None:
    path = tmp_path / "file"
    if holes:
        sparse(path, 2 * MIB, (MIB, b"y" * MIB))
    else:
        path.write_bytes(b"y" * MIB)
    errors: list[OSError] = []
    with path.open("rb") as file:
        content = Content(file.fileno())
        path.write_bytes(change)
        data = b"".join(content.pieces(errors.append))
    assert (content.extents is not None, len(data)) == (holes, MIB)
    assert data == (change[-MIB:] or bytes(MIB))
    assert [str(error) for error in errors] == ([] if change else ["became shorter while it was read"])


# archives that lie


def lying(*records: tuple[str, str], data: bytes = b"") -> bytes:
    """One file whose pax header says ``records``."""
    info = tarfile.TarInfo("name")
    info.size = len(data)
    info.pax_headers = dict(records)
    return info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512) + bytes(1024)


NEW = (("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "name"))
LIES = {
    "a size of 400 digits": lying(("size", "9" * 400)),
    "a negative size": lying(("size", "-1")),
    "a size that is none": lying(("GNU.sparse.realsize", "x")),
    "a map that is none": lying(*NEW, ("GNU.sparse.realsize", "5"), data=b"x" * 512),
    "a map without end": lying(*NEW, ("GNU.sparse.realsize", "5"), data=b"9" * 2048),
    "a map of a billion": lying(*NEW, ("GNU.sparse.realsize", "5"), data=b"1000000000\n" + bytes(501)),
    "a map behind the end": lying(*NEW, ("GNU.sparse.realsize", "5"), data=b"1\n6\n1\n" + bytes(506)),
    "a map that goes back": lying(
        *NEW, ("GNU.sparse.realsize", "99"), data=b"2\n50\n10\n40\n10\n" + bytes(497)
    ),
    "a header of 8 GiB": bytes(tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT)),
}


def huge_header() -> bytes:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, (8 << 30) - 1
    return info.tobuf(tarfile.USTAR_FORMAT)


LIES["a header of 8 GiB"] = huge_header() + bytes(4096)


@pytest.mark.parametrize("lie", LIES)
def test_an_archive_that_lies_is_refused_in_one_line(core: CoreSide, tmp_path: Path, lie: str) -> None:
    run = extract(core, tmp_path, LIES[lie])
    assert code(run) == 1
    assert run.stderr.startswith(b"reading the archive: ")
    assert run.stderr.count(b"\n") == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mtime", ["nan", "inf", "-inf", "9" * 400, "-1e300", "1." + "9" * 400, "x"])
def test_a_time_that_is_none_keeps_no_file_out(core: CoreSide, tmp_path: Path, mtime: str) -> None:
    run = extract(core, tmp_path, lying(("mtime", mtime), data=b"data"))
    assert (code(run), run.stderr) == (0, b"")
    assert (tmp_path / "name").read_bytes() == b"data"


@pytest.mark.parametrize("mtime", [-1, -500_000_000, -1_500_000_000, 0, 1_234_567_890_123_456_789])
def test_times_before_1970_are_kept_too(core: CoreSide, tmp_path: Path, mtime: int) -> None:
    (tmp_path / "file").write_text("x")
    os.utime(tmp_path / "file", ns=(mtime, mtime))
    (tmp_path / "into").mkdir()
    assert code(extract(core, tmp_path / "into", create(core, tmp_path / "file").stdout)) == 0
    assert (tmp_path / "into" / "file").stat().st_mtime_ns == mtime


def test_an_archive_that_ends_in_the_middle_is_an_error(core: CoreSide, tmp_path: Path) -> None:
    whole = archive(("first", b"1" * 1000), ("second", b"2" * 1000))
    for length in (700, 1800, 2200):
        run = extract(core, tmp_path, whole[:length])
        assert code(run) == 1, length
        assert run.stderr.startswith(b"reading the archive: ")


def test_a_name_that_nobody_asked_for_is_not_unpacked(core: CoreSide, tmp_path: Path) -> None:
    tar = archive((".bashrc", b"evil"), ("asked", b"good"), ("asked/../x", b"evil"))
    run = core.start(
        builtin={"name": "tar-extract", "path": str(tmp_path), "rename": True, "names": ["asked"]}, stdin=True
    )
    core.write(run, tar)
    core.close(run)
    core.finish(run)
    assert code(run) == 1
    assert b".bashrc: nobody asked for it" in run.stderr
    assert os.listdir(tmp_path) == ["asked"]


def test_a_link_in_place_of_what_was_asked_for_is_not_unpacked(core: CoreSide, tmp_path: Path) -> None:
    tar = archive(("asked", b""), type=tarfile.SYMTYPE, linkname="/etc")
    run = core.start(
        builtin={"name": "tar-extract", "path": str(tmp_path), "rename": True, "names": ["asked"]}, stdin=True
    )
    core.write(run, tar)
    core.close(run)
    core.finish(run)
    assert code(run) == 1
    assert b"asked: a link" in run.stderr
    assert os.listdir(tmp_path) == []


def test_an_empty_path_is_an_error_and_not_the_root(core: CoreSide) -> None:
    out = create(core, "")
    assert (code(out), out.stdout) == (1, bytes(1024))
    assert b"an empty path" in out.stderr
    into = extract(core, "", archive(("name", b"data")))
    assert code(into) == 1
    assert b"an empty path" in into.stderr
