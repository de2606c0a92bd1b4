"""Templates while cores die and cores race."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop.core.machine.qemu.survivors import running

from .conftest import Home, beside_the_disk
from .test_templates import SMALL, core_pid, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)
SHARED = ("--memory", "288")


def restoring(known: set[int]) -> bool:
    """Whether a machine that is not one of ``known`` waits for the state of a template, or takes it."""
    for pid in [found.pid for found in running()]:
        try:
            if pid not in known and b"defer" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
        except OSError:
            continue  # gone at this moment
    return False


def test_the_core_is_killed_while_it_restores(private: Home) -> None:
    """The client asks the next core again, and gets one machine that works."""
    private.do("run", *SMALL, "--", "true")  # there is a template from here on
    for name in ("k1", "k2", "k3"):
        known = {found.pid for found in running()}
        with private.popen("create", *SMALL, name) as client:
            wait_for(partial(restoring, known))
            os.kill(core_pid(private), signal.SIGKILL)
            _, complained = client.communicate(timeout=150)
        assert (client.returncode, beside_the_disk(complained)) == (0, "")
        shown = json.loads(private.do("inspect", "--json", name))["sandbox"]
        assert [found.pid for found in running() if found.uuid == shown["uuid"]] == [shown["pid"]]
        assert private.do("exec", name, "--", "cat", "/etc/hostname") == f"{name}\n"
    private.do("rm", "--force", "k1", "k2", "k3")
    assert list(private.templates.glob("builder-*")) == []


@pytest.fixture
def neighbour(private: Home, tmp_path: Path) -> Iterator[Home]:
    """A home with a core of its own, whose cache is the other's."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text("warm_machines = 0\n")
    (tmp_path / "cache").symlink_to(private.path / "cache")
    home = Home(tmp_path)
    yield home
    home.do("core", "stop", "--all")


def test_two_cores_want_the_same_template(private: Home, neighbour: Home) -> None:
    before = len(private.whole())
    homes = (private, neighbour)
    clients = [home.popen("create", *SHARED, "racer") for home in homes]
    for client in clients:
        _, complained = client.communicate(timeout=150)
        assert client.returncode == 0, complained
    assert [home.restored("racer") for home in homes] == [True, True]
    assert [home.do("exec", "racer", "--", "cat", "/etc/hostname") for home in homes] == ["racer\n"] * 2
    assert len(private.whole()) == before + 1
    for home in homes:
        home.do("rm", "--force", "racer")
