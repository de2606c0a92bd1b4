"""Sandboxes that go on from a template: their disks, and what happens when a template is not what it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.settings import SLOWER

from sandtop.core.machine.qemu.survivors import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Home

pytestmark = pytest.mark.timeout(500)
SMALL = ("--memory", "256")


def core_pid(home: Home) -> int:
    import json

    return int(json.loads(home.do("core", "status", "--json"))["pid"])


def wait_for(what: object, seconds: float = 60) -> None:
    assert callable(what)
    deadline = time.monotonic() + seconds * SLOWER
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def test_a_disk_of_its_own(home: Home) -> None:
    """Made from a template, written to, started again from one, killed, started again: each time with its own disk."""
    for name in ("one", "two"):
        home.run("create", name)  # on a small disk it warns that the two may fill it
        assert home.restored(name)
    for name in ("one", "two"):
        home.do("exec", name, "--", "sh", "-c", f"echo {name} >/root/mine; sync; echo more >>/root/mine")
    home.do("stop", "one")
    home.do("start", "one")
    assert home.restored("one")
    for name in ("one", "two"):
        assert home.do("exec", name, "--", "cat", "/root/mine", "/etc/hostname") == f"{name}\nmore\n{name}\n"
    home.do("exec", "one", "--", "sh", "-c", "echo synced >/root/mine; sync")
    home.do("stop", "--force", "one")
    home.do("start", "--cold", "one")
    assert not home.restored("one")
    assert home.do("exec", "one", "--", "cat", "/root/mine") == "synced\n"
    home.do("rm", "--force", "one", "two")


def outdated(home: Home) -> Path:
    """A template of another kernel, that was not used for two hours."""
    folder = home.templates / ("0" * 32)
    folder.mkdir(parents=True)
    (folder / "facts.json").write_text('{"kind": "fresh", "image": "", "origin": "another"}')
    then = time.time() - 7200
    os.utime(folder, times=(then, then))
    return folder


def test_the_core_is_killed_while_it_builds(private: Home) -> None:
    others = {found.uuid for found in running()}
    for folder in private.whole():
        shutil.rmtree(folder)
    old = outdated(private)
    with private.popen("create", *SMALL, "killed") as client:
        wait_for(lambda: any(private.templates.glob("builder-*")))
        mark = next(private.templates.glob("builder-*"))
        uuid = mark.name.removeprefix("builder-")
        assert uuid not in others
        wait_for(lambda: uuid in {found.uuid for found in running()})
        os.kill(core_pid(private), signal.SIGKILL)
        client.communicate(timeout=150 * SLOWER)
    wait_for(lambda: uuid not in {found.uuid for found in running()})
    assert not mark.exists()
    private.do("rm", "--force", "killed")
    private.do("create", *SMALL, "x", "y")  # at once: one builds, the other waits for it
    assert private.restored("x")
    assert private.restored("y")
    private.do("rm", "--force", "x", "y")
    wait_for(lambda: not old.exists())
    assert len(private.whole()) == 1
    assert list(private.templates.glob("builder-*")) == []
    assert list(private.templates.glob(".building-*")) == []


@pytest.fixture
def full_disk(private: Home) -> Iterator[None]:
    """A disk under the templates that has no room for one."""
    private.templates.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m,mode=700", "sandtop-test", str(private.templates)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a tmpfs")
    yield
    subprocess.run(["umount", str(private.templates)], check=True)


@pytest.mark.usefixtures("full_disk")
def test_no_room_for_a_template(private: Home) -> None:
    shape = ("--memory", "272")
    said, complained = private.run("run", *shape, "--", "echo", "works")
    assert said == "works\n"
    assert complained.startswith("sandtop: warning: no template can be made, booting instead: ")
    assert "No space left" in complained
    assert complained.count("\n") == 1
    assert os.listdir(private.templates) == [".lock"]
    with private.popen("image", "warm", *shape) as process:
        _, error = process.communicate(timeout=60 * SLOWER)
    assert (process.returncode, error.count("\n")) == (125, 1)


def made_at(folder: Path) -> int | None:
    """When the template was made, None while there is none. Its inode number tells nothing: it is given out again."""
    try:
        return (folder / "facts.json").stat().st_mtime_ns
    except FileNotFoundError:
        return None


def damage(path: Path) -> None:
    """Turn one bit in the middle of the data."""
    with path.open("r+b") as file:
        offset = os.lseek(file.fileno(), 0, os.SEEK_DATA) + 4097
        byte = os.pread(file.fileno(), 1, offset)
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1]), offset)


def test_a_damaged_template_is_made_again(private: Home) -> None:
    """`test_files.py` has the other ways of being damaged; all are told and mended in this one."""
    private.do("run", *SMALL, "--", "true")
    (folder,) = private.whole()
    before = made_at(folder)
    damage(folder / "memory")
    said, complained = private.run("run", *SMALL, "--", "echo", "works")
    assert said == "works\n"
    assert complained.startswith("sandtop: warning: a template is damaged")
    assert complained.count("\n") == 1
    wait_for(lambda: made_at(folder) not in (None, before))
    private.do("create", *SMALL, "after")
    assert private.restored("after")
    private.do("rm", "--force", "after")
