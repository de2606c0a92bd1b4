"""The SDK's files, through the real server and a real agent."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import anyio
import pytest

import sandtop
from sandtop import FileError, FileNotFound, IsADirectory, PermissionDenied, Sandbox, sync

from .desk import NAME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from sandtop import Files

    from .desk import Desk

pytestmark = pytest.mark.anyio
MIB = 1 << 20


async def test_files_are_written_and_read(files: Files, work: Path) -> None:
    made = await files.write("a/b/text", "grüße\n")
    assert (made.kind, made.size, made.mode, made.name, made.path) == ("file", 8, 0o644, "text", "a/b/text")
    assert (work / "a/b/text").read_bytes() == "grüße\n".encode()
    assert await files.read_text("a/b/text") == "grüße\n"
    big = os.urandom(5 * MIB + 3)
    await files.write(str(work / "big"), big, mode=0o600)
    assert await files.read("big") == big
    assert (
        b"".join([piece async for piece in files.read_chunks("big", offset=MIB, length=MIB)])
        == big[MIB : 2 * MIB]
    )
    for name in ("with space", "new\nline", "bytes\udcff", "-rf", "ü"):
        await files.write(name, name.encode("utf-8", "surrogateescape"))
        assert await files.read(name) == os.fsencode(name)
    assert {one.name for one in await files.list()} == {*os.listdir(work)}
    with pytest.raises(UnicodeDecodeError):
        await files.read_text("big")


async def test_what_is_longer_than_the_limit_is_not_held(files: Files, work: Path) -> None:
    (work / "sparse").touch()
    os.truncate(work / "sparse", 4 << 30)
    with pytest.raises(FileError, match="more than 1,000 bytes") as caught:
        await files.read("sparse", max_bytes=1000)
    assert caught.value.errno == errno.EFBIG
    assert await files.read("sparse", offset=(4 << 30) - 5, max_bytes=1000) == bytes(5)
    assert await files.read("sparse", length=10, max_bytes=1000) == bytes(10)
    assert b"PPid" in await files.read("/proc/self/status")


async def test_errors_are_ours_and_pythons(files: Files, work: Path) -> None:
    (work / "folder").mkdir()
    os.mkfifo(work / "fifo")
    with pytest.raises(FileNotFound, match="box:nothing: No such file or directory") as caught:
        await files.read("nothing")
    assert isinstance(caught.value, FileNotFoundError)
    assert (caught.value.errno, caught.value.filename, caught.value.sandbox) == (
        errno.ENOENT,
        "nothing",
        NAME,
    )
    failing: dict[type[OSError], Callable[[], Awaitable[object]]] = {
        IsADirectoryError: lambda: files.read("folder"),
        NotADirectoryError: lambda: files.list("fifo"),
        FileExistsError: lambda: files.mkdir("folder"),
        PermissionError: lambda: files.write("/sys/kernel/notes", "x"),
    }
    for kind, call in failing.items():
        with pytest.raises(kind) as one:
            await call()
        assert isinstance(one.value, FileError)
    with pytest.raises(FileError, match="a FIFO, not a regular file"):
        await files.read("fifo")
    with pytest.raises(FileError, match="a character device, not a regular file"):
        await files.write("/dev/null", b"")
    with pytest.raises(IsADirectory, match="only recursively"):
        await files.remove("folder")
    with pytest.raises(PermissionDenied):
        await files.read("/etc/shadow", user="nobody")
    with pytest.raises(sandtop.InvalidRequest, match="no user 'nosuch'"):
        await files.read("/etc/passwd", user="nosuch")
    with pytest.raises(sandtop.NotFound, match="no sandbox other"):
        await Sandbox.at("other").files.exists("/")
    with pytest.raises(FileNotFound):  # a long one: it fails before all was sent
        await files.write("no/such/folder", bytes(20 * MIB), parents=False)
    with pytest.raises(sandtop.InvalidRequest, match="without NUL"):
        await files.read("a\0b")


async def test_folders_are_made_moved_and_removed(files: Files, work: Path) -> None:
    made = await files.mkdir("a/b", parents=True, mode=0o700)
    assert (made.kind, made.mode) == ("directory", 0o700)
    await files.write("a/b/file", "x")
    await files.rename("a/b", "a/c")
    assert await files.exists("a/c/file")
    assert not await files.exists("a/b")
    assert not await files.exists("a/c/file/below")
    with pytest.raises(FileNotFound, match="box:no/target"):
        await files.rename("a", "no/target")
    os.symlink("nowhere", work / "link")
    assert not await files.exists("link")
    assert (await files.stat("link", follow=False)).target == "nowhere"
    await files.remove("link")
    await files.remove("a", recursive=True)
    assert os.listdir(work) == []


async def test_a_long_listing_comes_page_by_page(files: Files, work: Path) -> None:
    for n in range(3000):
        (work / f"{n:05}").touch()
    seen = 0
    async for one in files.scan(str(work)):
        assert one.path == f"{work}/{one.name}"
        seen += 1
    assert seen == 3000
    pages = [len(page) async for page in files.pages(".")]
    assert (sum(pages), len(pages) < 100) == (3000, True)
    assert [one.name for one in await files.list()] == sorted(os.listdir(work))


def test_the_same_without_async(files: Files, work: Path) -> None:
    ours = sync.Sandbox.at(NAME).files
    for n in range(500):
        ours.write(f"{n}", "x") if n < 3 else (work / f"{n}").touch()
    assert len({one.name for one in ours.scan()}) == 500 == len(ours.list())
    assert b"".join(ours.read_chunks("1")) == b"x" == ours.read("1")
    with pytest.raises(FileNotFoundError):
        ours.read("nothing")
    with pytest.raises(NotADirectoryError):
        next(iter(ours.scan("1")))


async def test_a_folder_is_watched(files: Files, work: Path) -> None:
    found: list[tuple[str, str]] = []
    begun, elsewhere = anyio.Event(), work.with_name("elsewhere")

    async def watch() -> None:
        async for change in files.watch("."):
            found.append((change.what, change.name))
            begun.set()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        with anyio.fail_after(20):
            while not begun.is_set():
                (work / "tick").touch()
                await anyio.sleep(0.01)
            await files.write("new", "x")
            (work / "sub").mkdir()
            os.rename(work, elsewhere)
    os.rename(elsewhere, work)
    assert ("moved-to", "new") in found
    assert ("created", "sub") in found
    assert found[-1] == ("gone", "")


async def test_many_calls_at_once(files: Files, work: Path) -> None:
    async def one(n: int) -> None:
        data = os.urandom(100_000 + n)
        await files.write(f"{n}", data)
        assert await files.read(f"{n}") == data

    async with anyio.create_task_group() as group:
        for n in range(40):
            group.start_soon(one, n)
    assert len(await files.list()) == 40


async def test_a_cancelled_write_leaves_nothing(files: Files, work: Path) -> None:
    with anyio.move_on_after(0.05):
        await files.write("big", bytes(200 * MIB))
    assert not await files.exists("big")
    assert os.listdir(work) == []


async def test_a_server_that_dies_is_begun_again(files: Files, shared: Desk, work: Path) -> None:
    await files.write("file", "x")
    before = shared.agent.processes
    assert before
    for pid in before:
        os.kill(pid, 9)
    assert await files.read_text("file") == "x"
    assert stat.S_ISREG((work / "file").stat().st_mode)
