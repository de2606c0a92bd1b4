"""Folders of the host in a real guest: used, attacked, written from both sides, and left alone by a core that dies."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import PATIENCE, Home, eventually

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = [pytest.mark.vm]
ATTACK = r"""
import ctypes, errno, json, mmap, os, stat, threading
said = {}
def attempt(name, what):
    try:
        said[name] = what() or "done"
    except OSError as error:
        said[name] = errno.errorcode[error.errno]
os.chdir("/work")
attempt("device", lambda: os.mknod("null", 0o666 | stat.S_IFCHR, os.makedev(1, 3)))
attempt("fifo", lambda: os.mkfifo("fifo"))
attempt("255", lambda: open("n" * 255, "w").close())
attempt("256", lambda: open("n" * 256, "w").close())
attempt("up", lambda: sorted(os.listdir("/work/..")) == sorted(os.listdir("/")) and "the sandbox's root")
attempt("across", lambda: os.link("/work/of-the-host", "/tmp/x"))
os.symlink(os.environ["OUTSIDE"], "link")
attempt("link", lambda: open("link/secret").read())
os.mkdir("dir"); os.mkdir("other")
def swap():
    for _ in range(150):
        os.rename("dir", "spare"); os.rename("link", "dir"); os.rename("dir", "link"); os.rename("spare", "dir")
racer = threading.Thread(target=swap); racer.start()
leaks = 0
while racer.is_alive():
    try:
        leaks += "secret" in os.listdir("dir")
        open("dir/secret").read()
        leaks += 1
    except OSError:
        pass
said["leaks"] = leaks
with open("suid", "w") as file:
    file.write("#!/bin/sh\n")
os.chmod("suid", 0o6755)
os.chown("suid", 33, 33)
said["suid"] = [oct(os.stat("suid").st_mode & 0o7777), os.stat("suid").st_uid]
for number in range(300):
    with open(f"other/file-{number}", "w") as file:
        file.write("x" * number)
said["many"] = len(os.listdir("other"))
with open("mapped", "wb+") as file:
    file.truncate(8192)
    with mmap.mmap(file.fileno(), 8192) as mapped:
        mapped[4096:4100] = b"here"
        mapped.flush()
libc = ctypes.CDLL(None, use_errno=True)
attempt("read-only", lambda: open("/kept/new", "w").close())
remounted = libc.mount(b"host", b"/kept", None, 32, None)  # MS_REMOUNT: the guest's kernel is root's
said["remounted"] = remounted
attempt("write", lambda: open("/kept/new", "w").close())
attempt("remove", lambda: os.unlink("/kept/file"))
attempt("read", lambda: open("/kept/file").read())
print(json.dumps(said))
"""
APPEND = """
import sys, time
with open("/work/log", "a", buffering=1) as log:
    print("appends", flush=True)
    for number in range(300):
        log.write(f"guest {number}\\n")
"""
TICK = """
import os, time
os.chdir("/work")
with open("ticks", "w", buffering=1) as ticks:
    number = 0
    while not os.path.exists("enough"):
        ticks.write(f"{number}\\n")
        number += 1
        time.sleep(0.05)
print("saw the end", flush=True)
"""


class Place:
    """The folders of the host."""

    def __init__(self, root: Path) -> None:
        self.shared, self.kept, self.outside = (root / name for name in ("shared", "kept", "outside"))
        for folder in (self.shared, self.kept, self.outside):
            folder.mkdir()
        (self.shared / "of-the-host").write_text("hello")
        (self.kept / "file").write_text("kept")
        (self.outside / "secret").write_text("secret")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("folders"))


@pytest.fixture(scope="module")
def work(home: Home, place: Place) -> Generator[str]:
    """A sandbox with a folder of the host to write, and one to read."""
    volume = f"{place.kept}:/kept:ro"
    mount = f"type=bind,src={place.shared},dst=/work"
    home.do("create", "work", "--memory", "512", "--mount", mount, "--volume", volume)
    yield "work"
    home.do("rm", "--force", "work")


def servers(place: Place) -> list[int]:
    """The processes that serve these folders."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"sandtop.core.fuse" in words:
                descriptor = words[words.index(b"sandtop.core.fuse") + 1].decode()
                if os.readlink(entry / "fd" / descriptor) in (str(place.shared), str(place.kept)):
                    found.append(int(entry.name))
        except OSError:
            continue
    return found


def console(home: Home, box: str) -> str:
    """What the machine printed last, and the core: there the relay and the server say why they ended."""
    shown = json.loads(home.do("inspect", box, "--json"))
    log = next(home.path.rglob("core.log")).read_text().splitlines()
    return f"{shown.get('console')}; core: {log[-5:]}"


def test_a_guest_that_wants_out_stays_in(home: Home, work: str, place: Place) -> None:
    script = ["--env", f"OUTSIDE={place.outside}", work, "--", "python3", "-c", ATTACK]
    tried = home.run("exec", *script)
    assert tried.returncode == 0, f"{tried.stderr.decode()}; console: {console(home, work)}"
    said = json.loads(tried.stdout)
    assert said == {
        "device": "EPERM",
        "fifo": "EPERM",
        "255": "done",
        "256": "ENAMETOOLONG",
        "up": "the sandbox's root",
        "across": "EXDEV",
        "link": "ENOENT",
        "leaks": 0,
        "suid": ["0o755", 0],
        "many": 300,
        "read-only": "EROFS",
        "remounted": 0,
        "write": "EROFS",
        "remove": "EROFS",
        "read": "kept",
    }
    shared = place.shared
    assert stat.S_IMODE((shared / "suid").stat().st_mode) == 0o755
    assert (shared / "suid").stat().st_uid == os.geteuid()
    assert len(os.listdir(shared / "other")) == 300
    assert (shared / "mapped").read_bytes()[4096:4100] == b"here"
    assert os.listdir(place.kept) == ["file"]
    assert os.listdir(place.outside) == ["secret"]


def test_host_and_guest_write_at_once(home: Home, work: str, place: Place) -> None:
    log = place.shared / "log"
    log.touch()
    session = home.do("exec", "-d", work, "--", "python3", "-c", APPEND).decode().strip()
    eventually(lambda: home.do("logs", work, session) == b"appends\n", PATIENCE)
    for number in range(300):
        with log.open("a") as file:
            file.write(f"host {number}\n")
    eventually(lambda: home.session(work, session)["state"] == "exited", PATIENCE)
    expected = [f"{who} {number}" for who in ("guest", "host") for number in range(300)]
    assert sorted(log.read_text().splitlines()) == sorted(expected)
    read = home.do("exec", work, "--", "cat", "/work/log").decode()
    assert read == log.read_text()
    (place.shared / "later").write_text("of the host")
    eventually(lambda: home.run("exec", work, "--", "cat", "/work/later").stdout == b"of the host")


def test_a_core_that_is_killed_leaves_the_mount_as_it_is(home: Home, work: str, place: Place) -> None:
    session = home.do("exec", "-d", work, "--", "python3", "-c", TICK).decode().strip()
    ticks = place.shared / "ticks"
    eventually(lambda: ticks.exists() and ticks.read_text(), PATIENCE)
    before = sorted(servers(place))
    killed = home.kill_core()
    seen = ticks.read_text()
    eventually(lambda: len(ticks.read_text()) > len(seen) + 20, PATIENCE)  # with no core, or a new one
    eventually(lambda: home.core_pid() not in (None, killed), PATIENCE)
    (place.shared / "enough").touch()
    eventually(lambda: home.do("logs", work, session) == b"saw the end\n", PATIENCE)
    numbers = [int(line) for line in ticks.read_text().split()]
    assert numbers == list(range(len(numbers)))
    assert sorted(servers(place)) == before
    assert home.box(work)["attention"] is None


def test_a_server_that_dies_is_said_and_a_restart_mounts_again(home: Home, work: str, place: Place) -> None:
    for pid in servers(place):
        if os.readlink(f"/proc/{pid}/fd/{_root(pid)}") == str(place.shared):
            os.kill(pid, signal.SIGKILL)

    words = "/work is not mounted any more"

    def said() -> bool:
        return words in (home.box(work)["attention"] or "")

    def told() -> bool:
        return any(words in event["message"] for event in home.json("events", work, "--kind", "trouble"))

    eventually(said, PATIENCE)
    eventually(told, PATIENCE)  # once that has lasted a second
    gone = home.run("exec", work, "--cwd", "/", "--", "cat", "/work/of-the-host")
    assert gone.returncode != 0
    assert b"not connected" in gone.stderr
    assert home.do("exec", work, "--", "cat", "/kept/file") == b"kept"
    home.do("restart", work)
    assert home.do("exec", work, "--", "cat", "/work/of-the-host") == b"hello"
    assert "not mounted" not in (home.box(work)["attention"] or "")
    home.do("stop", work)
    eventually(lambda: not servers(place), PATIENCE)
    place.shared.rename(place.shared.with_name("moved"))
    refused = home.run("start", work)
    assert refused.returncode != 0
    assert f"there is no folder {place.shared}".encode() in refused.stderr
    place.shared.with_name("moved").rename(place.shared)


def _root(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[words.index(b"sandtop.core.fuse") + 1].decode()
