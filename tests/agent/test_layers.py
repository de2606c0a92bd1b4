"""The server of layers: what it does to programs, and for whom. Their content: tests/core/guest/containers."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING

from .files_side import FilesSide

if TYPE_CHECKING:
    from .conftest import HostedAgent
    from .core_side import CoreSide, Message


LAYERS: Message = {"name": "layers"}


def _frozen(agent: HostedAgent) -> list[bool]:
    """Of each cgroup that has processes, whether it stands still."""
    events = [(agent.cgroup / "sessions" / name / "cgroup.events").read_text() for name in agent.sessions]
    return sorted("frozen 1" in text for text in events if "populated 1" in text)


def test_programs_stand_still_while_layers_are_read(agent: HostedAgent, core: CoreSide) -> None:
    run = core.start("cat", stdin=True)
    core.write(run, b"before")
    core.wait(lambda: bytes(run.stdout) == b"before")
    layers = FilesSide(core, builtin=LAYERS)
    failed = layers.call("changes", since=None, mark=None).failed  # this host has no such disk
    assert failed is not None
    assert failed["errno"] == errno.ENOENT
    end = time.monotonic() + 20
    while _frozen(agent) != [False, True]:  # the kernel tells nobody
        assert time.monotonic() < end, _frozen(agent)
        core.serve(0.02)
    again = core.start("echo", "begun meanwhile")
    core.finish(again)
    assert bytes(again.stdout) == b"begun meanwhile\n"
    layers.close()
    core.write(run, b", after")
    core.wait(lambda: bytes(run.stdout) == b"before, after")
    core.close(run)
    core.finish(run)


def test_programs_go_on_when_the_server_is_killed(agent: HostedAgent, core: CoreSide) -> None:
    run = core.start("cat", stdin=True)
    layers = FilesSide(core, builtin=LAYERS)
    layers.call("changes", since=None, mark=None)
    core.send({"type": "signal", "id": layers.run.id, "op": "end", "signal": 9, "scope": "all"})
    core.finish(layers.run)
    core.write(run, b"on")
    core.close(run)
    core.finish(run)
    assert bytes(run.stdout) == b"on"


def test_layers_are_for_root_alone(core: CoreSide) -> None:
    run = core.start(builtin={"name": "layers"}, stdin=True, cwd="/", user="65534")
    core.wait(lambda: run.ended)
    assert run.record is not None
    assert run.record["stage"] == "user"
