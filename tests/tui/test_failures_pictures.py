"""What the timeline of failures looks like, and a failure's evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, ended

from . import scene
from .conftest import until
from .picture import picture, pressing, views

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from sandtop.tui.app import Console

    from .picture import Compare, Steps


def core() -> FakeCore:
    more = ended("ab", "builder", "cargo", "test", code=101, ended_at=NOW - 4000, acknowledged=True)
    more.end(NOW - 4000, {"reason": "oom", "signal": 9, "memory_peak": 1900 << 20, "cpu_us": 81_000_000}, 137)
    late = ended("ac", "api-1", "./sync", started_at=NOW - 940)
    late.end(
        NOW - 40,
        {"reason": "timeout", "signal": 9, "duration_ms": 900_000, "cause": "after its limit of 15 min"},
        124,
    )
    return scene.core(more, late)


async def evidence(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await pilot.press("F", "j", "enter")
    await until(pilot, lambda: console.nav.open_panes == 1 and console.nav.panes.takes_keys)
    await pilot.pause(0.2)


STATES: dict[str, Steps] = {"failures": pressing("F", "j"), "evidence": evidence}


@pytest.mark.parametrize(("state", "size", "theme"), views(STATES))
def test_failures(snap_compare: Compare, state: str, size: str, theme: str) -> None:
    assert picture(snap_compare, size, theme, STATES[state], core())
