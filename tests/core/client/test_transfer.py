"""Files into a real sandbox and out of it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandtop import InvalidRequest, NotFound, Sandbox, SpawnError, Stdout, StorageError

from .test_archive import described

if TYPE_CHECKING:
    from pathlib import Path

    from ..cli.process import Run
    from ..conftest import RealCore

pytestmark = [pytest.mark.anyio, pytest.mark.vm]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "below").mkdir(parents=True)
    (top / "file").write_bytes(os.urandom(3_000_000))
    (top / "file").chmod(0o640)
    (top / "below" / "script").write_text("#!/bin/sh\n")
    (top / "below" / "script").chmod(0o755)
    (top / "link").symlink_to("file")
    os.link(top / "file", top / "below" / "same")
    os.utime(top / "file", ns=(10**18 + 123456789, 10**18 + 123456789))
    os.utime(top / "link", ns=(10**18, 10**18), follow_symlinks=False)
    return top


async def test_there_and_back(real: RealCore, tree: Path, tmp_path: Path, anyio_backend_name: str) -> None:
    sb = await Sandbox.get("demo")
    told: list[int] = []
    target = f"/tmp/{anyio_backend_name}"
    await sb.upload(tree, target, progress=told.append)
    assert told == sorted(told)
    assert told[-1] > 3_000_000
    out = await sb.shell(f"cd {target} && sha256sum file below/same && stat -c '%a %Y' file && readlink link")
    assert out.stdout.split()[-3:] == [b"640", b"1000000000", b"file"]
    await sb.download(target, tmp_path / "back")
    assert described(tmp_path / "back") == described(tree)
    await sb.shell(f"rm -r {target}")


async def test_what_does_not_work_says_so(real: RealCore, tree: Path, tmp_path: Path) -> None:
    sb = await Sandbox.get("demo")
    with pytest.raises(NotFound, match="nosuch"):
        await sb.upload(tmp_path / "nosuch", "/tmp")
    with pytest.raises(StorageError, match="/no/such/folder"):
        await sb.upload(tree, "/no/such/folder/x")
    with pytest.raises(StorageError, match="/nosuch"):
        await sb.download("/nosuch", tmp_path)
    with pytest.raises(StorageError, match="Permission denied"):
        await sb.upload(tree / "file", "/root/", user="nobody")
    assert (await sb.exec("true")).exit_code == 0


def test_cp_of_the_command_line(real: RealCore, tree: Path, tmp_path: Path, run: Run) -> None:
    into = run("cp", str(tree), "demo:/tmp/")
    assert (into.status, into.out, into.err) == (0, b"", b"")
    assert run("exec", "demo", "--", "cat", "/tmp/tree/file").out == (tree / "file").read_bytes()
    assert run("cp", "demo:/tmp/tree/.", str(tmp_path / "here")).status == 0
    assert described(tmp_path / "here") == described(tree)
    stream = run("cp", "demo:/tmp/tree", "-")
    listed = subprocess.run(["tar", "t"], input=stream.out, capture_output=True, check=True)
    assert b"tree/below/script" in listed.stdout.splitlines()
    run("exec", "demo", "--", "mkdir", "/tmp/unpacked")
    assert run("cp", "-", "demo:/tmp/unpacked", stdin=stream.out).status == 0
    assert run("exec", "demo", "--", "cat", "/tmp/unpacked/tree/below/script").out == b"#!/bin/sh\n"
    assert "/nosuch" in run("cp", "demo:/nosuch", str(tmp_path)).complaint
    run("exec", "demo", "--", "rm", "-r", "/tmp/tree", "/tmp/unpacked")


async def test_holes_pseudo_files_lists_and_other_sandboxes(real: RealCore, tmp_path: Path) -> None:
    sb = await Sandbox.get("demo")
    await sb.shell(
        "mkdir /tmp/c /tmp/d; truncate -s 3G /tmp/c/holes; echo end >> /tmp/c/holes; ln -s /etc /tmp/c/link"
    )
    await sb.download(["/tmp/c/holes", "/proc/version", "/sys/kernel/fscaps"], tmp_path)
    holes = tmp_path / "holes"
    assert (holes.stat().st_size, holes.stat().st_blocks < 64) == ((3 << 30) + 4, True)
    assert (tmp_path / "version").read_text() == (await sb.exec("cat", ["/proc/version"])).text
    assert (tmp_path / "fscaps").read_text() == "1\n"
    await sb.upload([holes, tmp_path / "version"], "/tmp/d")
    await sb.copy("/tmp/d/holes", sb, "/tmp/d/copy")
    out = await sb.shell("cd /tmp/d && ls && for f in holes copy; do stat -c '%s %b' $f; tail -c 4 $f; done")
    *names, first, end, second, end_too = out.text.splitlines()
    assert (names, end, end_too) == (["copy", "holes", "version"], "end", "end")
    for size, blocks in (first.split(), second.split()):
        assert (int(size), int(blocks) < 64) == ((3 << 30) + 4, True)
    with pytest.raises(StorageError, match="not a directory"):
        await sb.upload([holes, tmp_path / "version"], "/tmp/d/version")
    with pytest.raises(StorageError, match="link: a link"):
        await sb.copy("/tmp/c/link", sb, "/tmp/d")
    with pytest.raises(StorageError, match="/nosuch: No such file"):
        await sb.copy("/nosuch", sb, "/tmp/d")
    with pytest.raises(InvalidRequest, match="into itself"):
        await sb.copy("/tmp", sb, "/tmp/d")
    for wrong in ("", ["/tmp/d", ""]):
        with pytest.raises(InvalidRequest, match="empty"):
            await sb.upload(wrong, "/tmp")
        with pytest.raises(InvalidRequest, match="empty"):
            await sb.download(wrong, tmp_path)
    await sb.shell("rm -r /tmp/c /tmp/d")


def test_cp_of_several_and_between_sandboxes(real: RealCore, tmp_path: Path, run: Run) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").mkdir()
    run("exec", "demo", "--", "mkdir", "/tmp/several")
    assert (
        run("cp", str(tmp_path / "a"), str(tmp_path / "b"), "demo:/bin/true", "demo:/tmp/several").status == 0
    )
    assert run("cp", "demo:/tmp/several/a", "demo:/tmp/several/c").status == 0
    assert run("exec", "demo", "--", "ls", "/tmp/several").out == b"a\nb\nc\ntrue\n"
    (tmp_path / "left").write_text("a")
    missing = run("cp", str(tmp_path / "nosuch"), str(tmp_path / "left"), "demo:/tmp/several")
    assert missing.status == 125
    assert "nosuch: No such file" in missing.complaint
    assert run("exec", "demo", "--", "cat", "/tmp/several/left").out == b"a"  # all else is copied
    run("exec", "demo", "--", "rm", "-r", "/tmp/several")


async def test_as_many_arguments_as_linux_takes(real: RealCore) -> None:
    sb = await Sandbox.get("demo")
    for args in (["x"] * 150_000, ["x" * 131_071] * 15, ["\udcffä😀" * 5000] * 50, ["y" * 1000] * 2000):
        count = await sb.exec("sh", ["-c", 'echo $#; printf %s "$1" | wc -c', "sh", *args])
        assert count.text.split() == [str(len(args)), str(len(os.fsencode(args[0])))]
    exact = (
        2 * 1024 * 1024 - 4096
    )  # the kernel counts the program's path, too, and its own variables are some 100 bytes
    words = ["y" * 991] * (exact // 1000)
    assert (await sb.exec("true", words)).exit_code == 0
    with pytest.raises(SpawnError, match="Linux takes 2,097,152 in all") as caught:
        await sb.exec("true", [*words, "z" * 10_000])
    assert caught.value.exit_status == 126
    assert (await sb.exec("true", words * 2, rlimits={"stack": 32 << 20})).exit_code == 0
    large = {f"V{n}": "v" * 1000 for n in range(1900)}
    assert int((await sb.shell("env | wc -c", env=large)).text) > 1_900_000
    async with await sb.exec_stream("sh", ["-c", "echo $#", "sh", *words], tty=True) as proc:
        shown = b"".join([event.data async for event in proc if isinstance(event, Stdout)])
    assert shown == f"{len(words)}\r\n".encode()
    kept = (await sb.sessions())[-1].argv
    assert kept[:3] == ["sh", "-c", "echo $#"]
    assert len(kept) < 40
