"""Sandboxes that go on from a template: their disks, and what happens when a template is not what it was."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from sandtop.core.machine import machines

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Home

pytestmark = pytest.mark.timeout(500)
SMALL = ("--memory", "256")


def core_pid(home: Home) -> int:
    import json

    return int(json.loads(home.do("core", "status", "--json"))["pid"])


def wait_for(what: object, seconds: float = 60) -> None:
    assert callable(what)
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def test_a_disk_of_its_own(home: Home) -> None:
    """Made from a template, written to, started again from one, killed, started again: each time with its own disk."""
    home.do("create", *SMALL, "one")
    home.do("create", *SMALL, "two")
    assert home.restored("one")
    assert home.restored("two")
    for name in ("one", "two"):
        home.do("exec", name, "--", "sh", "-c", f"echo {name} >/root/mine; sync; echo more >>/root/mine")
        home.do("stop", name)
        home.do("start", name)
        assert home.restored(name)
    for name in ("one", "two"):
        assert home.do("exec", name, "--", "cat", "/root/mine", "/etc/hostname") == f"{name}\nmore\n{name}\n"
    home.do("exec", "one", "--", "sh", "-c", "echo synced >/root/mine; sync")
    home.do("stop", "--force", "one")
    home.do("start", "one")
    assert home.do("exec", "one", "--", "cat", "/root/mine") == "synced\n"
    home.do("restart", "--cold", "one")
    assert not home.restored("one")
    assert home.do("exec", "one", "--", "cat", "/root/mine") == "synced\n"
    home.do("rm", "--force", "one", "two")
    assert len(home.whole()) == 2


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


def test_damaged_templates_are_made_again(home: Home) -> None:
    home.do("run", *SMALL, "--", "true")
    for name in ("memory", "state", "overlay.img"):
        (folder,) = [each for each in home.whole() if (each / "overlay.img").exists()]
        before = made_at(folder)
        if name == "state":
            os.truncate(folder / name, 1000)
        else:
            damage(folder / name)
        said, complained = home.run("run", *SMALL, "--", "echo", "works")
        assert said == "works\n"
        assert complained.startswith("sandtop: warning: a template is damaged")
        assert complained.count("\n") == 1
        wait_for(lambda folder=folder, before=before: made_at(folder) not in (None, before))
        home.do("create", *SMALL, "after")
        assert home.restored("after")
        home.do("rm", "--force", "after")


def test_the_core_is_killed_while_it_builds(home: Home) -> None:
    others = {uuid for _, uuid in machines()}
    shape = ("--memory", "272")
    with home.popen("create", *shape, "killed") as client:
        wait_for(lambda: any(home.templates.glob("builder-*")))
        mark = next(home.templates.glob("builder-*"))
        uuid = mark.name.removeprefix("builder-")
        assert uuid not in others
        wait_for(lambda: uuid in {each for _, each in machines()})
        os.kill(core_pid(home), signal.SIGKILL)
        client.communicate(timeout=150)
    wait_for(lambda: uuid not in {each for _, each in machines()})
    assert not mark.exists()
    home.do("run", *shape, "--", "true")
    assert list(home.templates.glob("builder-*")) == []
    assert list(home.templates.glob(".building-*")) == []
