"""Machines of the warm pool: they become sandboxes like any other, are nobody else's, and go with their core."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.vm.client import client_of

from sandtop.core.client.link import call
from sandtop.core.contract.core import Status
from sandtop.core.machine.qemu.survivors import running

from .test_templates import core_pid, wait_for

if TYPE_CHECKING:
    from .conftest import Home

pytestmark = pytest.mark.timeout(300)
WHO = "cat /etc/hostname /etc/machine-id; echo $TEAM; pwd; cat /proc/sys/kernel/random/boot_id; ls /root"


def standing_by(home: Home) -> set[str]:
    """The uuids of machines that are ready to become sandboxes, as far as the core says that there are."""
    with client_of(home.path):
        if not call(Status()).standing_by:
            return set()
    return {mark.parent.name for mark in (home.path / "data" / "sandboxes").glob("*/standing-by")}


def inspected(home: Home, name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(home.do("inspect", "--json", name)))


def test_standing_by(home: Home) -> None:
    home.do("create", "first")
    wait_for(lambda: standing_by(home))
    ready = standing_by(home)
    assert not ready & {each["uuid"] for each in json.loads(home.do("ls", "--json"))}

    for name in ("second", "third"):
        home.do("create", "--env", f"TEAM={name}", "--workdir", "/tmp", name)
    inspections = [inspected(home, name) for name in ("second", "third")]
    uuids = [each["sandbox"]["uuid"] for each in inspections]
    assert uuids[0] in ready
    assert [each["machine"]["spec"]["name"] for each in inspections] == ["second", "third"]
    said = {name: home.do("exec", name, "--", "sh", "-c", WHO) for name in ("second", "third")}
    for name, uuid in zip(said, uuids, strict=True):
        hostname, machine_id, team, folder, _ = said[name].splitlines()
        assert (hostname, machine_id, team, folder) == (name, uuid.replace("-", ""), name, "/tmp")
    assert said["second"].splitlines()[4] != said["third"].splitlines()[4]
    assert [session["argv"][0] for session in json.loads(home.do("sessions", "second", "--json"))] == ["sh"]

    wait_for(lambda: standing_by(home))
    orphans = standing_by(home)
    os.kill(core_pid(home), signal.SIGKILL)
    assert home.do("exec", "second", "--", "echo", "lives") == "lives\n"
    assert home.restored("second")  # the core that says so has not started it
    assert "-incoming" in inspected(home, "second")["machine"]["argv"]
    wait_for(lambda: not orphans & {found.uuid for found in running()})
    assert not [uuid for uuid in orphans if (home.path / "data" / "sandboxes" / uuid).exists()]
    home.do("rm", "--force", "first", "second", "third")

    home.do("run", "--", "true")
    wait_for(lambda: standing_by(home))
    orphans = standing_by(home)
    home.do("core", "stop")
    wait_for(lambda: not orphans & {found.uuid for found in running()})
    wait_for(lambda: not list((home.path / "data" / "sandboxes").iterdir()))
