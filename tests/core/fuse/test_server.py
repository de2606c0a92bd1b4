"""The server of a mounted folder, a process as in use, in the hands of a client of the tests' own."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from sandtop.core.fuse import protocol
from sandtop.core.fuse.protocol import ROOT, Op

from .kernel import GID, UID, Failed, mounted, name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .kernel import Kernel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.fixture
def kernel(folder: Path) -> Iterator[Kernel]:
    with mounted(folder) as made:
        yield made


def test_files_of_the_host_are_the_guests_to_read_and_to_write(folder: Path, kernel: Kernel) -> None:
    (folder / "there").write_text("of the host")
    there = kernel.walk(b"there")
    assert kernel.read(kernel.open(there.node)) == b"of the host"
    made, handle = kernel.create(ROOT, b"made", 0o640)
    assert kernel.write(handle, b"of the guest") == 12
    assert (folder / "made").read_text() == "of the guest"
    assert stat.S_IMODE((folder / "made").stat().st_mode) == 0o640
    assert (made.uid, made.gid) == (UID, GID)
    assert (folder / "made").stat().st_uid == os.geteuid()
    kernel.get(Op.MKDIR, ROOT, protocol.MKDIR_IN.pack(0o750, 0) + name(b"sub"))
    sub = kernel.walk(b"sub")
    kernel.get(Op.RENAME, ROOT, protocol.RENAME_IN.pack(sub.node) + name(b"made", b"moved"))
    assert (folder / "sub" / "moved").read_text() == "of the guest"
    assert kernel.status(made.node).size == 12
    kernel.get(Op.UNLINK, sub.node, name(b"moved"))
    assert kernel.read(handle) == b"of the guest"  # it is open still
    kernel.release(handle)
    kernel.get(Op.RMDIR, ROOT, name(b"sub"))
    assert sorted(os.listdir(folder)) == ["there"]


def test_what_the_host_changes_is_seen(folder: Path, kernel: Kernel) -> None:
    (folder / "file").write_text("one")
    known = kernel.walk(b"file")
    (folder / "file").write_text("longer")
    assert kernel.status(known.node).size == 6
    (folder / "file").rename(folder / "other")
    with pytest.raises(Failed) as moved:
        kernel.status(known.node)
    assert moved.value.errno in (errno.ENOENT, errno.ESTALE)
    assert kernel.look_up(ROOT, b"file") is None
    assert kernel.walk(b"other").node != known.node
    (folder / "other").unlink()
    (folder / "other").mkdir()
    assert stat.S_ISDIR(kernel.walk(b"other").mode)


def test_files_with_several_names_are_one(folder: Path, kernel: Kernel) -> None:
    (folder / "one").write_text("x")
    os.link(folder / "one", folder / "two")
    one = kernel.walk(b"one")
    assert kernel.walk(b"two").node == one.node
    body = kernel.get(Op.LINK, ROOT, protocol.LINK_IN.pack(one.node) + name(b"three"))
    assert protocol.ENTRY_OUT.unpack_from(body)[0] == one.node
    assert (folder / "three").stat().st_nlink == 3
    assert kernel.walk(b"one").links == 3


def test_whoever_appends_appends_to_what_the_host_has_by_then(folder: Path, kernel: Kernel) -> None:
    (folder / "log").write_text("a\n")
    handle = kernel.open(kernel.walk(b"log").node, os.O_WRONLY | os.O_APPEND)
    with (folder / "log").open("a") as log:
        log.write("host\n")
    kernel.write(handle, b"guest\n", offset=2)
    assert (folder / "log").read_text() == "a\nhost\nguest\n"


def test_sizes_modes_and_times_are_set(folder: Path, kernel: Kernel) -> None:
    (folder / "file").write_text("0123456789")
    node = kernel.walk(b"file").node
    assert kernel.set(node, protocol.SET_SIZE, size=4).size == 4
    assert kernel.set(node, protocol.SET_MODE, mode=0o600).mode & 0o7777 == 0o600
    kernel.set(node, protocol.SET_MTIME, modified=(1 << 64) - 10)
    assert (folder / "file").stat().st_mtime == -10
    owned = kernel.set(node, protocol.SET_UID | protocol.SET_GID)
    assert (owned.uid, owned.gid) == (UID, GID), "nobody gives files away, and nobody is told that it failed"
    os.symlink("nowhere", folder / "link")
    kernel.set(kernel.walk(b"link").node, protocol.SET_MTIME, modified=7)
    assert (folder / "link").lstat().st_mtime == 7


def test_a_long_listing_comes_in_pieces(folder: Path, kernel: Kernel) -> None:
    names = {f"{'n' * 200}{number}".encode() for number in range(1500)}
    for each in names:
        (folder / os.fsdecode(each)).touch()
    assert kernel.listed(ROOT, plus=False).keys() == names | {b".", b".."}
    found = kernel.listed(ROOT)
    assert found.keys() == names | {b".", b".."}
    assert found[b".."] == 0, "the folder above is nobody's"
    assert len({node for entry, node in found.items() if entry in names} - {0}) == len(names)


def test_the_kernel_is_told_of_no_more_nodes_than_agreed(folder: Path) -> None:
    for number in range(40):
        (folder / str(number)).touch()
    with mounted(folder, nodes=20) as kernel:
        known = [found for n in range(19) if (found := kernel.look_up(ROOT, b"%d" % n)) is not None]
        assert kernel.ask(Op.LOOKUP, ROOT, name(b"30")).errno == errno.ENFILE
        assert len(kernel.listed(ROOT)) == 42, "names are listed all the same"
        kernel.forget(known[0].node, 2)  # looked up, and listed
        kernel.forget(known[1].node, 2)
        assert kernel.look_up(ROOT, b"30") is not None


def test_nothing_is_written_where_that_is_not_wanted(folder: Path) -> None:
    (folder / "file").write_text("kept")
    (folder / "sub").mkdir()
    with mounted(folder, read_only=True) as kernel:
        file, sub = kernel.walk(b"file").node, kernel.walk(b"sub").node
        handle = kernel.open(file)
        assert kernel.read(handle) == b"kept"
        attempts = [
            (Op.OPEN, file, protocol.OPEN_IN.pack(os.O_WRONLY, 0)),
            (Op.OPEN, file, protocol.OPEN_IN.pack(os.O_RDWR, 0)),
            (Op.OPEN, file, protocol.OPEN_IN.pack(os.O_RDONLY | os.O_TRUNC, 0)),
            (Op.CREATE, ROOT, protocol.CREATE_IN.pack(os.O_CREAT, 0o644, 0, 0) + name(b"new")),
            (Op.WRITE, file, protocol.WRITE_IN.pack(handle, 0, 1, 0, 0, 0, 0) + b"x"),
            (Op.SETATTR, file, protocol.SETATTR_IN.pack(protocol.SET_SIZE, *[0] * 15)),
            (Op.MKNOD, ROOT, protocol.MKNOD_IN.pack(stat.S_IFREG, 0, 0, 0) + name(b"new")),
            (Op.MKDIR, ROOT, protocol.MKDIR_IN.pack(0o755, 0) + name(b"new")),
            (Op.SYMLINK, ROOT, name(b"new", b"x")),
            (Op.LINK, ROOT, protocol.LINK_IN.pack(file) + name(b"new")),
            (Op.UNLINK, ROOT, name(b"file")),
            (Op.RMDIR, ROOT, name(b"sub")),
            (Op.RENAME, ROOT, protocol.RENAME_IN.pack(sub) + name(b"file", b"x")),
            (Op.RENAME2, ROOT, protocol.RENAME2_IN.pack(sub, 2, 0) + name(b"file", b"x")),
            (Op.FALLOCATE, file, protocol.FALLOCATE_IN.pack(handle, 0, 100, 0, 0)),
        ]
        for op, node, body in attempts:
            assert kernel.ask(op, node, body).errno == errno.EROFS, op
    assert (folder / "file").read_text() == "kept"
    assert sorted(os.listdir(folder)) == ["file", "sub"]
