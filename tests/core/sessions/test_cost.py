"""What an exec costs the core, counted in calls of Python functions: those do not depend on how busy the host is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.core.channel.scripted import ScriptedAgent, listening, run, running_core

import sandtop

if TYPE_CHECKING:
    from types import FrameType

    from tests.core.channel.scripted import Core

ROOMS = tuple(f"{Path(sandtop.__file__).parent}/core/{room}/" for room in ("sessions", "channel"))
MOST_CALLS = 500
"""Of functions in these rooms, for one session that writes a line and ends; 400 of them take some 40 µs."""
ROUNDS = 10


async def _exec(core: Core, number: int) -> None:
    key = f"{number:016x}"
    core.start(key, "a line")
    await core.ended(key)


async def _calls(core: Core, first: int) -> float:
    """The calls that one session costs, on average."""
    count = 0

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.startswith(ROOMS)

    sys.setprofile(profile)
    try:
        for number in range(first, first + ROUNDS):
            await _exec(core, number)
    finally:
        sys.setprofile(None)
    return count / ROUNDS


def test_an_exec_costs_the_same_however_many_there_were(tmp_path: Path) -> None:
    costs: list[float] = []

    async def main() -> None:
        async with listening(tmp_path, ScriptedAgent().serve), running_core(tmp_path) as core:
            await core.link.wait_up(3600)
            await _exec(core, 0)
            costs.append(await _calls(core, 100))
            for number in range(1000, 1200):
                await _exec(core, number)
            costs.append(await _calls(core, 2000))

    run(main)
    few, many = costs
    assert 100 < few < MOST_CALLS, "the count itself is at fault, or an exec costs more than it did"
    assert many < 1.2 * few
