"""Operations on a sandbox that are cut off at some moment, and what has to be true afterwards.

Rows, machines and files tell the same story then, and the same request, made again, succeeds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.fleet import State
from sandtop.core.fleet.state import ALIVE
from sandtop.core.groups import unwrapped

from . import jumping
from .invariants import check
from .lab import CONFIG, SETTINGS, Core, Lab, quiet
from .steps import Steps

if TYPE_CHECKING:
    from pathlib import Path

_LONG = 40.0
"""Seconds in which everything that was begun has come to its end."""
_MOST_TIMES = 2000


@dataclass(frozen=True)
class Operation:
    """What is cut off.

    Attributes:
        first: what goes before, undisturbed.
        do: the operation. It is done again afterwards, when ``done`` says that it has not come to its end.
        done: whether what it is for has come about.
        warm: it needs a core with a warm pool.
    """

    do: Callable[[Core], Awaitable[object]]
    done: Callable[[Core], bool]
    first: Callable[[Core], Awaitable[object]] | None = None
    warm: bool = False


async def _create(core: Core, *, cold: bool = True) -> None:
    await core.create(request="r1", cold=cold)


async def _template(core: Core) -> None:
    """Have the templates ready."""
    await core.fleet.prepare(CONFIG, quiet)


async def _warm(core: Core) -> None:
    """Have a machine in the warm pool."""
    await core.create("other", cold=False)
    while not sum(core.fleet.warm_machines.values()):
        await core.settle()


async def _running(core: Core) -> None:
    await core.create()


async def _paused(core: Core) -> None:
    await (await core.create()).pause()


async def _stopped(core: Core) -> None:
    await (await core.create()).stop(force=False)


async def _start(core: Core) -> None:
    if core.fleet.get("box").state not in ALIVE:
        await core.start(core.fleet.get("box"))


async def _stop(core: Core, *, force: bool) -> None:
    if core.fleet.get("box").state in ALIVE:
        await core.fleet.get("box").stop(force=force)


async def _restart(core: Core) -> None:
    await core.fleet.get("box").restart(quiet, force=False, cold=True)


async def _pause(core: Core) -> None:
    await core.fleet.get("box").pause()


async def _resume(core: Core) -> None:
    await core.fleet.get("box").resume()


async def _remove(core: Core, *, keep_history: bool) -> None:
    await core.fleet.remove(core.fleet.get("box"), force=True, keep_history=keep_history)


def _is(state: State, core: Core) -> bool:
    return any(box.name == "box" and box.state is state for box in core.fleet.all())


def _is_gone(core: Core) -> bool:
    return not any(box.name == "box" for box in core.fleet.all())


def _has_templates(core: Core) -> bool:
    return len(core.fleet.templates.on_disk()) == 2


_in_running, _in_stopped = partial(_is, State.RUNNING), partial(_is, State.STOPPED)
OPERATIONS = {
    "create, booting": Operation(_create, _in_running),
    "create, making a template": Operation(partial(_create, cold=False), _in_running),
    "create from a template": Operation(partial(_create, cold=False), _in_running, _template),
    "create from the warm pool": Operation(partial(_create, cold=False), _in_running, _warm, warm=True),
    "prepare": Operation(_template, _has_templates),
    "start": Operation(_start, _in_running, _stopped),
    "restart": Operation(_restart, _in_running, _running),
    "pause": Operation(_pause, partial(_is, State.PAUSED), _running),
    "resume": Operation(_resume, _in_running, _paused),
    "stop": Operation(partial(_stop, force=False), _in_stopped, _running),
    "stop a paused one": Operation(partial(_stop, force=False), _in_stopped, _paused),
    "stop at once": Operation(partial(_stop, force=True), _in_stopped, _running),
    "remove": Operation(partial(_remove, keep_history=False), _is_gone, _running),
    "remove, keeping its history": Operation(partial(_remove, keep_history=True), _is_gone, _running),
}


_HAVE_BOX = (_running, _paused, _stopped)


Cut = Callable[[Lab, Operation, Steps], Awaitable[bool]]
"""Does the operation and cuts it off at the next of its moments; whether there was one."""


class CutOff:
    """Cuts an operation off at one moment after the other, each time on another host, until there is no other."""

    def __init__(self, home: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._home = home
        self._shared_cache = shared_cache
        self._monkeypatch = monkeypatch
        self._steps = Steps()

    def __call__(self, operation: Operation, cut: Callable[[int], Cut], *, step: int = 1) -> None:
        """``cut`` gives what is done the first time, the second …; only each ``step``-th time is tried."""

        async def main() -> None:
            for time in range(1, _MOST_TIMES, step):
                try:
                    if not await self._once(operation, cut(time), self._home / str(time) / "home"):
                        assert time > 2
                        return
                except Exception as error:
                    error.add_note(f"cut off for the {time}. time")
                    raise
            pytest.fail("it never ends")

        jumping.run(main, self._monkeypatch, self._steps, seconds=1e9)

    async def _once(self, operation: Operation, cut: Cut, folder: Path) -> bool:
        settings = replace(SETTINGS, warm_machines=1 if operation.warm else 0)
        with unwrapped():
            async with trio.open_nursery() as outside:
                lab = Lab(folder, self._shared_cache, outside, settings)
                more = await cut(lab, operation, self._steps)
                lab.world.close()
        return more


async def go_on(core: Core, operation: Operation) -> None:
    """What was cut off is over: all is in order, and the operation is done, again if need be."""
    await trio.sleep(_LONG)
    check(core)
    if not operation.done(core):
        for box in core.fleet.all():  # a start that was cut off leaves a sandbox that failed
            if box.name == "box" and box.state is State.FAILED and operation.first not in _HAVE_BOX:
                await core.fleet.remove(box, force=True, keep_history=False)
        await operation.do(core)
    await trio.sleep(_LONG)
    assert operation.done(core)
    check(core)
    for box in core.fleet.all():
        await core.fleet.remove(box, force=True, keep_history=False)
    check(core)
