"""``sandtop fs``, as a process, through the real server and a real agent."""

from __future__ import annotations

import json
import os
import select
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("shared")
MIB = 1 << 20


def fs(*words: str, stdin: bytes = b"", status: int = 0) -> bytes:
    """Run it; what it printed, on stderr where it failed."""
    done = subprocess.run(
        [sys.executable, "-m", "sandtop", "fs", *words],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done
    return done.stderr if status else done.stdout


def test_write_and_cat(work: Path) -> None:
    data = os.urandom(3 * MIB)
    assert fs("write", "-p", "-m", "600", "box:a/b", stdin=data) == b""
    assert fs("cat", "box:a/b") == data
    assert stat.S_IMODE((work / "a/b").stat().st_mode) == 0o600
    assert json.loads(fs("write", "--json", f"box:{work}/c", stdin=b"x"))["size"] == 1
    assert fs("cat", "box:c", "box:c") == b"xx"
    assert fs("cat", "box:none", "box:c", status=1) == b"sandtop: box:none: No such file or directory\n"
    assert b"stdin" not in fs("write", "box:no/parent", status=1)


def test_ls(work: Path) -> None:
    (work / "b").write_bytes(b"12345")
    (work / "b").chmod(0o640)
    (work / "a").mkdir()
    (work / ".hidden").touch()
    (work / "link").symlink_to("b")
    with open(os.fsencode(work) + b"/\xff\n", "wb"):
        pass
    assert fs("ls", "box:") == b"a\nb\nlink\n\\udcff\\n\n"
    assert fs("ls", "-a", "box:.").splitlines()[0] == b".hidden"
    assert sorted(fs("ls", "-U", "box:").splitlines()) == sorted(fs("ls", "box:").splitlines())
    rows = json.loads(fs("ls", "--json", f"box:{work}"))
    assert [row["name"] for row in rows] == [".hidden", "a", "b", "link", "\udcff\n"]
    assert (rows[2]["kind"], rows[2]["size"], rows[2]["mode"], rows[3]["target"]) == ("file", 5, 0o640, "b")
    long = fs("ls", "-l", "box:").decode().splitlines()
    assert long[0].split() == ["MODE", "OWNER", "SIZE", "MODIFIED", "NAME"]
    assert long[2].split()[:3] == ["-rw-r-----", "0:0", "5"]
    assert long[3].endswith("link -> b")
    assert fs("ls", "box:b") == b"b\n"
    assert fs("ls", "box:a") == b""
    assert fs("ls", "--json", "box:a") == b"[]\n"


def test_stat(work: Path) -> None:
    (work / "file").write_bytes(b"12345")
    (work / "link").symlink_to("file")
    text = fs("stat", "box:file", "box:link").decode()
    assert "size:     5\nmode:     0644 (-rw-r--r--)\nowner:    0:0\n" in text
    assert "path:     link -> file\nkind:     symlink\n" in text
    (one,) = json.loads(fs("stat", "--json", "-L", "box:link"))
    assert (one["kind"], one["target"], one["path"]) == ("file", None, "link")
    assert fs("stat", "box:nothing", status=1) == b"sandtop: box:nothing: No such file or directory\n"


def test_mkdir_mv_and_rm(work: Path) -> None:
    fs("mkdir", "box:a", "box:b")
    fs("mkdir", "-p", "-m", "1777", "box:a/x/y", "box:a")
    assert stat.S_IMODE((work / "a/x/y").stat().st_mode) == 0o1777
    assert b"box:a: File exists" in fs("mkdir", "box:a", status=1)
    fs("mv", "box:a/x", "box:b")
    assert (work / "b/x/y").is_dir()
    fs("mv", "box:b/x", "box:z")
    assert b"two sandboxes (sandtop cp box:a other:a)" in fs("mv", "box:a", "other:a", status=125)
    assert b"Is a directory (only recursively" in fs("rm", "box:z", status=1)
    fs("rm", "-r", "box:z", "box:a", "box:b")
    assert os.listdir(work) == []
    assert b"No such file" in fs("rm", "box:z", status=1)
    fs("rm", "-f", "box:z")


def test_wrong_words() -> None:
    assert b"is not NAME:PATH (such as demo:/etc/hostname)" in fs("cat", "/etc/hostname", status=125)
    assert b"is not a mode in octal" in fs("mkdir", "-m", "rwx", "box:a", status=125)
    assert b"invalid choice" in fs("dog", status=125)
    assert b"no sandbox other" in fs("cat", "other:/etc/hostname", status=125)
    assert b"Permission denied" in fs("cat", "-u", "nobody", "box:/etc/shadow", status=1)


def test_watch(work: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "sandtop", "fs", "watch", "--json", f"box:{work}"], stdout=subprocess.PIPE
    ) as watching:
        try:
            assert watching.stdout is not None
            for number in range(300):  # until it watches, which it does not say
                (work / f"{number}").mkdir()
                if select.select([watching.stdout], [], [], 0.1)[0]:
                    break
            said = json.loads(watching.stdout.readline())
            assert said == {"what": "created", "name": said["name"], "directory": True, "cookie": 0}
            assert (work / said["name"]).is_dir()
        finally:
            watching.kill()
