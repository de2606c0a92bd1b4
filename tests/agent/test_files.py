"""The file server: what it does with files, and what it refuses."""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.files import server
from sandtop.agent.wire import Control, Decoder, encode

from .files_side import FilesSide

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from sandtop.agent.files.call import Call, Fields, Steps

    from .core_side import CoreSide
    from .files_side import FileCall

MIB = 1 << 20


@contextmanager
def serving(core: CoreSide, **fields: object) -> Generator[FilesSide]:
    side = FilesSide(core, **fields)  # type: ignore[arg-type]
    yield side
    side.close()


@pytest.fixture
def files(core: CoreSide) -> Iterator[FilesSide]:
    with serving(core) as side:
        yield side


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that other users may enter and write to."""
    for path in (tmp_path, *tmp_path.parents[:-2]):
        path.chmod(path.stat().st_mode | 0o055)
    tmp_path.chmod(0o777)
    return tmp_path


def number(call: FileCall) -> object:
    assert call.failed is not None, (call.answer, call.opened)
    return call.failed["errno"]


def test_what_is_written_is_read(files: FilesSide, tmp_path: Path) -> None:
    big = os.urandom(3 * MIB + 7)
    for name, data in (
        ("empty", b""),
        ("bytes", bytes(range(256))),
        ("big", big),
        ("a b\nc", b"x"),
        ("\udcff", b"y"),
    ):
        wrote = files.write(tmp_path / name, data)
        assert wrote.answer is not None, wrote.failed
        assert wrote.answer["size"] == len(data)
        read = files.call("read", path=str(tmp_path / name))
        assert bytes(read.data) == data == (tmp_path / name).read_bytes()
        assert read.opened is not None
        assert read.opened["kind"] == "file"
    part = files.call("read", path=str(tmp_path / "bytes"), offset=10, length=5)
    assert bytes(part.data) == bytes(range(10, 15))
    assert bytes(files.call("read", path=str(tmp_path / "bytes"), offset=300).data) == b""


def test_a_file_without_a_size_is_read(files: FilesSide) -> None:
    read = files.call("read", path="/proc/self/status")
    assert b"Uid:\t0" in read.data


def test_what_is_written_replaces_the_file_as_a_whole(files: FilesSide, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_bytes(b"before")
    place.chmod(0o640)
    os.chown(place, 1234, 4321)
    os.setxattr(place, "trusted.sandtop", b"kept")
    before = place.stat().st_ino
    call = files.begin("write", path=str(place))
    files.send(call, b"af")
    assert place.read_bytes() == b"before"
    files.send(call, b"ter")
    files.end(call)
    files.finish(call)
    status = place.stat()
    assert place.read_bytes() == b"after"
    assert status.st_ino != before
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 1234, 4321)
    assert os.getxattr(place, "trusted.sandtop") == b"kept"
    assert os.listdir(tmp_path) == ["place"]
    files.write(place, b"x", mode=0o4711)
    assert stat.S_IMODE(place.stat().st_mode) == 0o4711


def test_a_new_file_has_the_usual_mode_and_its_folders_are_made(files: FilesSide, tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "file"
    assert number(files.write(deep, b"x")) == errno.ENOENT
    assert files.write(deep, b"x", parents=True).answer is not None
    assert stat.S_IMODE(deep.stat().st_mode) == 0o644
    assert stat.S_IMODE(deep.parent.stat().st_mode) == 0o755
    assert number(files.write(deep / "below", b"x", parents=True)) == errno.ENOTDIR
    assert number(files.write(deep.parent, b"x")) == errno.EISDIR
    assert number(files.write(f"{tmp_path}/new/", b"x", parents=True)) == errno.EISDIR


def test_where_a_link_leads_is_written(files: FilesSide, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("sub/target")
    (tmp_path / "round").symlink_to("round")
    files.write(tmp_path / "link", b"one")
    files.write(tmp_path / "link", b"two")
    assert (tmp_path / "sub" / "target").read_bytes() == b"two"
    assert (tmp_path / "link").is_symlink()
    assert number(files.write(tmp_path / "round", b"x")) == errno.ELOOP


def test_a_write_that_is_not_wanted_any_more_leaves_nothing(files: FilesSide, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"before")
    for name in ("there", "new"):
        call = files.begin("write", path=str(tmp_path / name))
        files.send(call, b"half")
        files.cancel(call)
        assert files.call("stat", path=str(tmp_path)).answer is not None
    assert (tmp_path / "there").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["there"]


@pytest.mark.parametrize("what", ["fifo", "socket", "device"])
def test_what_is_no_file_is_refused_and_holds_nobody_up(files: FilesSide, tmp_path: Path, what: str) -> None:
    path = tmp_path / what
    if what == "fifo":
        os.mkfifo(path)
    elif what == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    else:
        path = Path("/dev/zero")
    for call in (files.call("read", path=str(path)), files.write(path, b"x")):
        assert number(call) == errno.EINVAL
        assert call.failed is not None
        assert str(call.failed["why"]).endswith("not a regular file")
    looked = files.call("stat", path=str(path))
    assert looked.answer is not None
    assert looked.answer["kind"] == {"device": "character"}.get(what, what)


def test_errors_are_the_kernels(files: FilesSide, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    place = str(tmp_path / "nothing")
    assert [number(files.call(do, path=place)) for do in ("read", "list", "stat", "remove")] == [
        errno.ENOENT
    ] * 4
    assert number(files.call("read", path=str(tmp_path))) == errno.EISDIR
    assert number(files.call("list", path=str(tmp_path / "file"))) == errno.ENOTDIR
    assert number(files.call("mkdir", path=str(tmp_path / "full"))) == errno.EEXIST
    assert number(files.call("mkdir", path=str(tmp_path / "file"), parents=True)) == errno.EEXIST
    assert number(files.call("mkdir", path=str(tmp_path / "no" / "parent"))) == errno.ENOENT
    assert number(files.call("remove", path=str(tmp_path / "full"))) == errno.EISDIR
    assert number(files.call("remove", path="/")) == errno.EINVAL
    assert number(files.call("rename", path=place, target=f"{place}2")) == errno.ENOENT
    moved = files.call("rename", path=str(tmp_path / "file"), target=str(tmp_path / "no" / "place"))
    assert moved.failed is not None
    assert (moved.failed["errno"], moved.failed["path"]) == (errno.ENOENT, str(tmp_path / "no" / "place"))
    assert number(files.call("bake", path="/")) == errno.ENOSYS
    assert number(files.call("read", path="a\0b")) == errno.EINVAL


def test_a_user_may_what_the_user_may(core: CoreSide, folder: Path) -> None:
    (folder / "secret").write_bytes(b"s")
    (folder / "secret").chmod(0o600)
    (folder / "open").write_bytes(b"before")
    (folder / "open").chmod(0o666)
    (folder / "closed").mkdir(mode=0o700)
    with serving(core, user="nobody") as files:
        assert number(files.call("read", path=str(folder / "secret"))) == errno.EACCES
        assert number(files.write(folder / "secret", b"x")) == errno.EACCES
        assert number(files.call("list", path=str(folder / "closed"))) == errno.EACCES
        assert number(files.write(folder / "closed" / "x", b"x")) == errno.EACCES
        # somebody else's file keeps its owner, so it is written in its place
        assert files.write(folder / "open", b"after").answer is not None
        made = files.write(folder / "mine", b"m")
        assert made.answer is not None
        assert made.answer["uid"] == 65534
        (folder / "mine").chmod(0o444)
        assert number(files.write(folder / "mine", b"x")) == errno.EACCES
        assert number(files.call("rename", path="/etc/passwd", target="/etc/passwd2")) == errno.EACCES
    assert (folder / "open").read_bytes() == b"after"
    assert (folder / "open").stat().st_uid == 0


def test_a_file_that_cannot_be_replaced_is_written_in_its_place(core: CoreSide, folder: Path) -> None:
    place = folder / "closed"
    place.mkdir()
    (place / "file").write_bytes(b"before, and longer")
    os.chown(place / "file", 65534, 65534)
    with serving(core, user="nobody") as files:
        assert files.write(place / "file", b"after", mode=0o600).answer is not None
    assert (place / "file").read_bytes() == b"after"
    assert stat.S_IMODE((place / "file").stat().st_mode) == 0o600
    with serving(core) as files:
        before = files.call("read", path="/proc/self/comm").data
        assert files.write("/proc/self/comm", b"renamed").answer is not None
        assert files.call("read", path="/proc/self/comm").data == b"renamed\n" != before


def test_a_listing_comes_in_pages(files: FilesSide, tmp_path: Path) -> None:
    top = tmp_path / "many"
    top.mkdir()
    for n in range(1500):
        (top / f"file {n}").touch()
    (top / "link").symlink_to("leads/nowhere")
    (top / "sub").mkdir()
    with open(os.fsencode(top) + b"/bytes\xff\n", "wb") as file:
        file.write(b"12345")
    call = files.call("list", path=str(top))
    rows = {str(row[0]): row for row in call.rows}
    assert len(rows) == 1503 == len(call.rows)
    assert rows["link"][1] == "symlink"
    assert rows["link"][-1] == "leads/nowhere"
    assert rows["sub"][1] == "directory"
    assert rows["bytes\udcff\n"][1:3] == ["file", 5]
    assert max(map(len, bytes(call.data).splitlines())) < 128 * 1024


def test_a_folder_that_may_only_be_read_is_listed(core: CoreSide, folder: Path) -> None:
    place = folder / "flat"
    place.mkdir()
    (place / "sub").mkdir()
    (place / "file").touch()
    place.chmod(0o744)
    with serving(core, user="nobody") as files:
        rows = {str(row[0]): row[1:] for row in files.call("list", path=str(place)).rows}
    assert rows == {"sub": ["directory", *[None] * 7], "file": ["unknown", *[None] * 7]}


def test_a_tree_is_removed_and_no_link_is_followed(files: FilesSide, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    top = tmp_path / "tree"
    for n in range(5):
        (top / f"{n}" / "deep" / "er").mkdir(parents=True)
        for m in range(60):
            (top / f"{n}" / "deep" / f"{m}").touch()
    (top / "out").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    assert files.call("remove", path=str(top), recursive=True).answer is not None
    assert files.call("remove", path=str(tmp_path / "link"), recursive=True).answer is not None
    assert sorted(os.listdir(tmp_path)) == ["kept"]
    assert os.listdir(tmp_path / "kept") == ["file"]


def test_folders_are_made(files: FilesSide, tmp_path: Path) -> None:
    made = files.call("mkdir", path=str(tmp_path / "a"), mode=0o1777)
    assert made.answer is not None
    assert made.answer["mode"] == 0o1777
    assert files.call("mkdir", path=f"{tmp_path}/a/b/c/", parents=True, mode=0o700).answer is not None
    assert stat.S_IMODE((tmp_path / "a/b/c").stat().st_mode) == 0o700
    assert files.call("mkdir", path=str(tmp_path / "a"), parents=True, mode=0o700).answer is not None
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o1777  # it was there
    assert files.call("rename", path=str(tmp_path / "a"), target=str(tmp_path / "z")).answer is not None
    assert (tmp_path / "z/b/c").is_dir()


def test_a_core_that_takes_nothing_holds_up_no_other_call(files: FilesSide, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(4 * MIB))
    slow = files.begin("read", path=str(tmp_path / "big"))
    slow.held = True
    files.wait(lambda: len(slow.data) >= 900_000)
    for n in range(3):
        assert files.write(tmp_path / f"{n}", os.urandom(MIB)).answer is not None
    assert files.call("read", path=str(tmp_path / "0")).over
    assert len(slow.data) <= MIB + 128 * 1024
    slow.held = False
    files.acknowledge(slow)
    files.finish(slow)
    assert bytes(slow.data) == bytes(4 * MIB)


def test_a_server_that_is_told_nonsense_ends(core: CoreSide) -> None:
    side = FilesSide(core)
    core.write(side.run, b"\xff" * 100)
    core.finish(side.run)
    assert side.run.record is not None
    assert side.run.record["code"] == 1
    assert b"ProtocolError" in side.run.stderr


def test_a_server_ends_with_its_link_and_leaves_nothing_half_written(core: CoreSide, tmp_path: Path) -> None:
    side = FilesSide(core)
    call = side.begin("write", path=str(tmp_path / "new"), mode=None, parents=False)
    side.send(call, bytes(MIB))
    assert side.call("stat", path="/", follow=True).answer is not None, "by now it has the rest, too"
    core.link()
    core.finish(side.run)
    assert side.run.record is not None
    assert (side.run.record.get("reason"), side.run.record.get("code")) == ("exited", 0)
    assert os.listdir(tmp_path) == []


def test_a_folder_is_watched(core: CoreSide, tmp_path: Path) -> None:
    with serving(core, watch=True) as files:
        call = files.begin("watch", path=str(tmp_path))
        files.wait(lambda: call.opened is not None)
        (tmp_path / "a\n").write_text("x")
        (tmp_path / "a\n").rename(tmp_path / "b")
        (tmp_path / "b").unlink()
        (tmp_path / "sub").mkdir()
        files.wait(lambda: len(call.rows) >= 7)
        assert [(row[0], row[1], row[2]) for row in call.rows] == [
            ("created", "a\n", False),
            ("modified", "a\n", False),
            ("written", "a\n", False),
            ("moved-from", "a\n", False),
            ("moved-to", "b", False),
            ("deleted", "b", False),
            ("created", "sub", True),
        ]
        assert call.rows[3][3] == call.rows[4][3] != 0
        other = files.begin("watch", path=str(tmp_path / "sub"))
        files.wait(lambda: other.opened is not None)
        (tmp_path / "sub").rmdir()
        files.finish(other)
        assert [row[0] for row in other.rows][-1] == "gone"
        assert number(files.call("watch", path=str(tmp_path / "sub"))) == errno.ENOENT
        files.cancel(call)


def test_a_watcher_that_takes_nothing_is_told_what_it_lost(core: CoreSide, tmp_path: Path) -> None:
    names = [tmp_path / ("one" * 20), tmp_path / ("two" * 20)]
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with serving(core, watch=True) as files:
        call = files.begin("watch", path=str(tmp_path))
        files.wait(lambda: call.opened is not None)
        call.held = True
        for name in names:
            name.touch()
        for n in range(2 * most):  # what was sent ahead is no more than a window
            os.utime(names[n % 2])  # two that are alike, one behind the other, are one event
        files.wait(lambda: len(call.data) >= 300_000)
        call.held = False
        files.acknowledge(call)
        files.wait(lambda: b'"lost"' in call.data)
        files.cancel(call)


def test_a_call_that_takes_long_shows_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_SIGN_OF_LIFE", -1.0)

    def slow(_fields: Fields, _call: Call) -> Steps:
        for _ in range(3):
            yield True
        return {"done": True}

    reader, asked = os.pipe()
    told, writer = os.pipe()
    thread = threading.Thread(target=server.Server({"slow": slow}, reader, writer).run)
    thread.start()
    os.write(asked, encode(Control({"type": "call", "call": 1, "do": "slow"})))
    decoder, kinds = Decoder(), list[object]()
    while "answer" not in kinds:
        for frame in decoder.feed(os.read(told, 4096)):
            assert isinstance(frame, Control)
            kinds.append(frame.message["type"])
    assert kinds == ["alive"] * 3 + ["answer"]
    os.close(asked)
    thread.join(20)
    assert not thread.is_alive()
    for fd in (reader, told, writer):
        os.close(fd)
