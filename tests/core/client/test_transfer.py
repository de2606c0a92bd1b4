"""Files into a real sandbox and out of it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandtop import NotFound, Sandbox, StorageError

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
