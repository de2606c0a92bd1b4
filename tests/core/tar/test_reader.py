"""Archives of other programs are read as they mean them; what no true one has is refused, at a bounded cost."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest

from sandtop.core.tar.fields import TarError
from sandtop.core.tar.reader import MAX_EXTENSIONS, Kind, Reader

from .hostile import ARCHIVES
from .making import END, file, header, pax, sparse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandtop.core.tar.reader import Member


class _Piped(io.RawIOBase):
    """Bytes that come as from a pipe, ``step`` at a time, and how many were asked for."""

    def __init__(self, data: bytes, step: int = 700) -> None:
        super().__init__()
        self._data = memoryview(data)
        self._step = step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        count = min(len(buffer), self._step, len(self._data))
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count


def piped(data: bytes) -> BinaryIO:
    return cast("BinaryIO", _Piped(data))


def members(data: bytes) -> Iterator[tuple[Member, bytes]]:
    """All members with their content, holes filled; read from a pipe."""
    reader = Reader(piped(data))
    while (member := reader.next()) is not None:
        content = bytearray(member.size)
        for offset, piece in reader.content():
            content[offset : offset + len(piece)] = piece
        yield member, bytes(content)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    top.mkdir()
    (top / "file").write_bytes(os.urandom(70_000))
    os.utime(top / "file", ns=(-1_500_000_000, -1_500_000_000))
    (top / ("long" * 40)).write_text("long")
    (top / "naïve").write_text("")
    (top / "link").symlink_to("x" * 200)
    os.link(top / "file", top / "same")
    os.mkfifo(top / "fifo", 0o600)
    with (top / "holes").open("wb") as out:
        for at in range(40):
            out.seek(at * 1_000_000)
            out.write(b"%d" % at)
        out.truncate(50_000_000)
    return top


@pytest.mark.parametrize(
    "options",
    [
        ("--format=gnu",),
        ("--format=pax",),
        ("--format=gnu", "-S"),
        ("--format=pax", "-S"),
        ("--format=pax", "-S", "--sparse-version=0.0"),
        ("--format=pax", "-S", "--sparse-version=0.1"),
    ],
    ids=" ".join,
)
def test_what_gnu_tar_writes(tree: Path, options: tuple[str, ...]) -> None:
    made = subprocess.run(
        ["tar", "c", *options, "-C", tree.parent, "tree"], check=True, capture_output=True, timeout=60
    )
    found = {member.name.rstrip(b"/").decode(): (member, data) for member, data in members(made.stdout)}
    assert set(found) == {"tree", *(f"tree/{path.name}" for path in tree.iterdir())}
    for name, (member, data) in found.items():
        path = tree.parent / name
        status = path.lstat()
        assert member.mode == status.st_mode & 0o7777
        # GNU's own format has whole seconds
        assert member.mtime // 10**9 == status.st_mtime_ns // 10**9
        if member.kind is Kind.FILE:
            assert data == path.read_bytes()
    assert {member.kind for member, _ in found.values()} == {
        Kind.FOLDER, Kind.FILE, Kind.LINK, Kind.HARD_LINK, Kind.FIFO,
    }  # fmt: skip
    assert found["tree/link"][0].target == b"x" * 200
    assert found["tree/holes"][0].stored < 1_000_000 if "-S" in options else True


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_tarfile_writes(form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name in ("a" * 90 + "/" + "b" * 90, "device"):
            info = tarfile.TarInfo(name)
            info.uid, info.gid, info.mtime = 0o7777777, 5, 2**33 - 1
            if name == "device":
                info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 1, 3
            archive.addfile(info)
    (first, _), (second, _) = members(out.getvalue())
    assert first.name == b"a" * 90 + b"/" + b"b" * 90
    assert (first.uid, first.gid, first.mtime) == (0o7777777, 5, (2**33 - 1) * 10**9)
    assert (second.kind, second.device) == (Kind.CHARACTER, (1, 3))


def test_numbers_too_large_for_octal() -> None:
    data = header(b"x", mtime=b"\xff" * 11 + b"\xfe", uid=b"\x80" + bytes(3) + b"\x80" + bytes(3)) + END
    ((member, _),) = members(data)
    assert (member.mtime, member.uid) == (-2 * 10**9, 1 << 31)


def test_extended_attributes_come_along() -> None:
    ((member, _),) = members(pax((b"SCHILY.xattr.user.a", b"\0=\n1")) + file(b"x") + END)
    assert member.attributes == {b"SCHILY.xattr.user.a": b"\0=\n1"}


def test_an_empty_value_takes_an_earlier_one_back() -> None:
    ((member, _),) = members(pax((b"path", b"other"), (b"path", b"")) + file(b"x") + END)
    assert member.name == b"x"


def test_what_is_not_read_of_a_member_is_passed_over() -> None:
    for stream in (io.BytesIO, piped):
        reader = Reader(stream(file(b"a", bytes(600_001)) + file(b"b") + END))
        first, second, end = reader.next(), reader.next(), reader.next()
        assert first is not None
        assert second is not None
        assert (first.name, second.name, end) == (b"a", b"b", None)


def _drain(reader: Reader) -> None:
    while reader.next():
        for _ in reader.content():
            pass


@pytest.mark.parametrize("data", ARCHIVES.values(), ids=list(ARCHIVES))
def test_what_no_true_archive_has_is_refused(data: bytes) -> None:
    with pytest.raises(TarError) as caught:
        _drain(Reader(piped(data)))
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_a_header_is_refused_before_it_is_read() -> None:
    """Not after reading whatever it claims."""
    stream = io.BytesIO(header(b"P", b"x", size=MAX_EXTENSIONS) + bytes(MAX_EXTENSIONS))
    with pytest.raises(TarError, match="extension headers"):
        Reader(stream).next()
    assert stream.tell() == 512


def test_a_sparse_file_carries_what_it_writes() -> None:
    """However large it says it is: its holes are not data."""
    whole = (1 << 63) - 1
    reader = Reader(piped(sparse(b"s", whole, b"2\n5\n4\n%d\n0\n" % whole, b"data") + END))
    member = reader.next()
    assert member is not None
    assert (member.name, member.size, member.stored) == (b"s", whole, 4)
    assert b"".join(data for _, data in reader.content()) == b"data"
    assert reader.next() is None
