"""Pictures of triage: the timeline of failures, a failure's evidence, and a command in many sandboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, ended

from sandtop.tui.screens.result import ResultScreen

from . import scene
from .conftest import until
from .picture import picture, pressing, views

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from sandtop.tui.app import Console

    from .picture import Compare, Steps

pytestmark = pytest.mark.slow


def core() -> FakeCore:
    fake = scene.core()
    more = ended("ab", "builder", "cargo", "test", code=101, ended_at=NOW - 4000, acknowledged=True)
    more.end(NOW - 4000, {"reason": "oom", "signal": 9, "memory_peak": 1900 << 20, "cpu_us": 81_000_000}, 137)
    late = ended("ac", "api-1", "./sync", started_at=NOW - 940)
    record = {"reason": "timeout", "signal": 9, "duration_ms": 900_000, "cause": "after its limit of 15 min"}
    late.end(NOW - 40, dict(record), 124)
    fake.sessions |= {one.id: one for one in (more, late)}
    return fake


async def failure(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await pilot.press("F", "slash", *"customer", "enter", "enter")
    await until(pilot, lambda: console.nav.open_panes == 1 and console.nav.panes.takes_keys)
    await pilot.pause(0.2)


async def result(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    before = set(core.sessions)
    await pilot.press("slash", *"state:running", "enter", "*", "x", *"uname -r", "enter")
    running = [raw for raw in core.sandboxes.values() if raw["state"] == "running"]
    await until(pilot, lambda: len(core.sessions.keys() - before) == len(running))
    fresh = sorted(core.sessions.keys() - before, key=lambda key: str(core.sessions[key].raw["sandbox"]))
    for number, key in enumerate(fresh[:-1]):
        core.emit(key, b"6.1.0-31-cloud-amd64\n" if number == 1 else b"6.1.0-32-cloud-amd64\n")
        core.end(key)
    screen = console.screen
    assert isinstance(screen, ResultScreen)
    await until(pilot, lambda: len(screen.rows.keys) == 3)
    await pilot.press("g", "j")


async def group(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await result(console, pilot, core)
    await pilot.press("d")


STATES: dict[str, Steps] = {
    "failures": pressing("F", "j"),
    "failure": failure,
    "result": result,
    "group": group,
}


@pytest.mark.parametrize(("state", "size", "theme"), views(STATES))
def test_triage(snap_compare: Compare, state: str, size: str, theme: str) -> None:
    assert picture(snap_compare, size, theme, STATES[state], core())
