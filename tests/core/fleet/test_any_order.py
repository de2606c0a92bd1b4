"""Whatever is done to a sandbox and its machine in whatever order: the state is what a small model says."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandtop.core.errors import AlreadyExists, NotFound, WrongState
from sandtop.core.fleet import State
from sandtop.core.groups import unwrapped

from . import jumping
from .invariants import check
from .lab import Core, Lab

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "box"
AFTER: dict[str, dict[State | None, State | None]] = {
    "create": {None: State.RUNNING},
    "start": {State.STOPPED: State.RUNNING, State.FAILED: State.RUNNING, State.LOST: State.RUNNING},
    "restart": dict.fromkeys(
        (State.RUNNING, State.PAUSED, State.STOPPED, State.FAILED, State.LOST), State.RUNNING
    ),
    "stop": {State.RUNNING: State.STOPPED, State.PAUSED: State.STOPPED},
    "stop at once": {State.RUNNING: State.STOPPED, State.PAUSED: State.STOPPED},
    "pause": {State.RUNNING: State.PAUSED},
    "resume": {State.PAUSED: State.RUNNING},
    "remove": {State.STOPPED: None, State.FAILED: None, State.LOST: None},
    "remove at once": dict.fromkeys(
        (State.RUNNING, State.PAUSED, State.STOPPED, State.FAILED, State.LOST), None
    ),
}
"""What each step makes of each state, None for no sandbox; every other state refuses it."""
ENDS: dict[str, State] = {"panic": State.FAILED, "switch off": State.STOPPED}
"""What becomes of a sandbox whose machine ends so, while it runs or is paused."""
STEPS = (*AFTER, *ENDS, "the core dies", "the core ends", "the core dies, then the machine")


async def take(core: Core, step: str) -> None:
    """Take a step of a user's."""
    if step == "create":
        await core.create(NAME, cold=False)
        return
    box = core.fleet.get(NAME)
    match step:
        case "start":
            await core.start(box, cold=False)
        case "restart":
            await box.restart(core.lines.append, force=False)
        case "stop" | "stop at once":
            await box.stop(force=step == "stop at once")
        case "pause":
            await box.pause()
        case "resume":
            await box.resume()
        case _:
            await core.fleet.remove(box, force=step == "remove at once", keep_history=False)


class Model:
    """A core with one sandbox, and what state that should have."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.state: State | None = None

    async def run(self, steps: Sequence[str]) -> None:
        """Take ``steps``, of which some end the core."""
        left, step = list(steps), ""
        while left:
            async with self.lab.core() as core:
                self.compare(core)
                while left and not (step := left.pop(0)).startswith("the core"):
                    await self.step(core, step)
                    await core.settle()
                    self.compare(core)
                if step == "the core ends":
                    continue
                self.lab.kill(core)
            if step.endswith("then the machine") and self.lab.world.machines:
                self.lab.world.close()
                self.state = State.LOST

    async def step(self, core: Core, step: str) -> None:
        if step in ENDS:
            if self.state in (State.RUNNING, State.PAUSED):
                guest = self.lab.world.of(core.fleet.get(NAME).row.uuid)
                guest.end("as it should be", orderly=step == "switch off")
                self.state = ENDS[step]
        elif self.state in AFTER[step]:
            await take(core, step)
            self.state = AFTER[step][self.state]
        elif step == "create":
            with pytest.raises(AlreadyExists, match="a sandbox named box already"):
                await take(core, step)
        else:
            with pytest.raises(NotFound if self.state is None else WrongState):
                await take(core, step)

    def compare(self, core: Core) -> None:
        assert [box.state for box in core.fleet.all()] == ([] if self.state is None else [self.state])
        check(core)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(STEPS), min_size=4, max_size=16))
def test_any_order(
    in_memory: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch, steps: list[str]
) -> None:
    async def main(home: Path) -> None:
        with unwrapped():
            async with trio.open_nursery() as outside:
                lab = Lab(home / "home", shared_cache, outside)
                await Model(lab).run(["create", *steps])
                lab.world.close()

    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        jumping.run(lambda: main(Path(folder)), monkeypatch)
