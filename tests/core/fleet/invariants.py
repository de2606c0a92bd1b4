"""What is true of a host and its core whenever nothing is going on."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from sandtop.core.fleet import State
from sandtop.core.fleet.state import ALIVE

if TYPE_CHECKING:
    from sandtop.core.fleet import Sandbox

    from .lab import Core

_RESTING = {State.RUNNING, State.PAUSED, State.STOPPED, State.FAILED, State.LOST}
_PROCESSORS = {State.RUNNING: "running", State.PAUSED: "paused"}


def check(core: Core) -> None:
    """Rows, sandboxes, machines and folders tell the same story."""
    fleet, lab = core.fleet, core.lab
    for sandbox in fleet.all():
        _check_sandbox(core, sandbox)
    rows = {row.uuid: row for row in core.context.database.sandboxes()}
    assert rows == {sandbox.row.uuid: sandbox.row for sandbox in fleet.with_history()}
    machines = {guest.uuid for guest in lab.world.machines.values()}
    known = {sandbox.row.uuid for sandbox in fleet.all() if sandbox.state in ALIVE}
    ready = sum(fleet.warm_machines.values())
    assert known <= machines
    assert len(machines) == len(lab.world.machines) == len(known) + ready, "somebody's machine is nobody's"
    somebodys = {sandbox.row.uuid for sandbox in fleet.all()} | machines
    sockets = {path.name for path in lab.paths.runtime.iterdir()}
    assert sockets <= {lab.paths.machine_runtime(uuid).name for uuid in somebodys}
    folders = {path.name for path in lab.paths.sandboxes.iterdir()}
    assert folders <= somebodys
    templates = lab.paths.cache / "templates"
    assert not [path for path in templates.glob("*") if path.name.startswith(("builder-", ".building"))]


def _check_sandbox(core: Core, sandbox: Sandbox) -> None:
    name, state = sandbox.name, sandbox.state
    assert state in _RESTING, f"{name} is {state}"
    assert not sandbox.lifecycle.locked(), name
    assert (sandbox.row.ownership is not None) == (state in ALIVE), f"{name} is {state}"
    assert (sandbox.machine is not None) == (state in ALIVE), f"{name} is {state}"
    if sandbox.row.ownership is not None and sandbox.machine is not None:
        guest = core.lab.world.machines[sandbox.row.ownership.pid]
        assert guest.uuid == sandbox.row.uuid
        if sandbox.machine.stall is None:
            assert guest.processors == _PROCESSORS[state], f"{name} is {state}"
        assert guest.agent.hostname == name
        assert sandbox.overlay.exists()


def picture(core: Core) -> object:
    """All that outlives a core, without what differs from one run to the next: what a kill at this moment leaves."""
    lab = core.lab
    rows = core.context.database.sandboxes()
    names = {row.uuid: row.name for row in rows}
    stored = [
        (row.name, row.state, row.reason, row.ownership is None, row.removed_at is None) for row in rows
    ]
    machines = [
        (names.get(guest.uuid), guest.processors, guest.up.is_set(), guest.restored, guest.agent.hostname)
        for guest in lab.world.machines.values()
    ]
    files: list[str] = []
    for place in (lab.paths.data, lab.paths.cache / "templates", lab.paths.runtime):
        for folder, _, found in os.walk(place):
            inside = os.path.relpath(folder, lab.paths.data.parent)
            files += [f"{inside}/{name}" for name in (".", *found) if not name.startswith("sandtop.db")]
    return str(stored), str(machines), frozenset(_plain(path) for path in files)


def _plain(path: str) -> str:
    """``path`` without what is different each time: uuids, digests, the names of temporary folders."""
    return re.sub(r"[0-9a-f]{12,}|[0-9a-f]{8}-[-0-9a-f]{27}|(building|preparing)-[^/]*", "N", path)
