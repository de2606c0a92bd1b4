"""Watches the room on the disk of the sandboxes: stops those that fill it, and lets all go on when there is room."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from sandtop.core.errors import SandtopError
from sandtop.core.fleet.mounts import written
from sandtop.core.fleet.room import Growth, until_next_look, used
from sandtop.core.fleet.stall import HELD
from sandtop.core.fleet.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandtop.core.fleet.context import Context
    from sandtop.core.fleet.room import Space
    from sandtop.core.fleet.sandbox import Sandbox

log = logging.getLogger(__name__)
_IDLE = 2.0
"""Seconds between looks while no machine runs, or while the room cannot be known."""


class Guard:
    """Run `run` for as long as there are sandboxes; ``sandboxes`` lists them."""

    def __init__(self, context: Context, sandboxes: Callable[[], Sequence[Sandbox]]) -> None:
        self._context = context
        self._sandboxes = sandboxes
        self._growth = Growth()
        self._going_on: set[str] = set()

    async def run(self) -> None:
        """Look, and look again, the sooner the less room there is, for as long as this is not cancelled."""
        while True:
            running = {each.row.uuid: each for each in self._sandboxes() if each.machine is not None}
            wait = _IDLE
            if running:
                room, sizes = await trio.to_thread.run_sync(self._look, running, abandon_on_cancel=True)
                if room is not None:
                    self._stop(room, sizes, running)
                    wait = until_next_look(room)
                self._start(room, running)
            await trio.sleep(wait)

    def _look(self, running: dict[str, Sandbox]) -> tuple[Space | None, dict[str, int]]:
        sizes = used({key: each.overlay for key, each in running.items()})
        for key, each in running.items():
            for disk in written(each.row.config, self._context):
                sizes[key] = sizes.get(key, 0) + used({key: disk}).get(key, 0)
        return self._context.look_at_room(), sizes

    def _stop(self, room: Space, sizes: dict[str, int], running: dict[str, Sandbox]) -> None:
        for key in self._growth.greedy(room, sizes):
            if running[key].state is State.RUNNING:
                self._context.nursery.start_soon(_hold, running[key])

    def _start(self, room: Space | None, running: dict[str, Sandbox]) -> None:
        """Without knowing the room, those that a full disk stopped are tried all the same, ever less often."""
        if room is not None and not room.enough:
            return
        for key, sandbox in running.items():
            stall = sandbox.machine.stall if sandbox.machine is not None else None
            if stall is None or not stall.by_itself or trio.current_time() < stall.not_before:
                continue
            if key not in self._going_on:
                self._going_on.add(key)
                self._context.nursery.start_soon(self._let_go_on, key, sandbox)

    async def _let_go_on(self, key: str, sandbox: Sandbox) -> None:
        try:
            await _go_on(sandbox)
        except SandtopError as error:
            log.warning("%s: %s", sandbox.name, error)
        finally:
            self._going_on.discard(key)


async def _hold(sandbox: Sandbox) -> None:
    """Stop the machine of a sandbox that fills the host's disk, unless it is about to be steered otherwise."""
    machine = sandbox.machine
    if sandbox.state is not State.RUNNING or sandbox.lifecycle.locked():
        return
    if machine is None or machine.stall is not None:
        return
    log.warning("%s is stopped: it fills the host's disk, of which only the reserve is left", sandbox.name)
    sandbox.record.remember(HELD)
    try:
        await machine.hold()
    except SandtopError as error:
        log.warning("%s: %s", sandbox.name, error)


async def _go_on(sandbox: Sandbox) -> None:
    """Let a machine go on that stands still for want of room. Raises `MachineError`."""
    machine = sandbox.machine
    steered = sandbox.lifecycle.locked() and sandbox.state is not State.STOPPING
    if machine is None or sandbox.stands_still is None or steered:
        return
    stall = await machine.go_on()
    if sandbox.machine is machine and sandbox.state is State.RUNNING and stall is None:
        log.info("%s goes on: there is room again", sandbox.name)
        sandbox.record.remember("")
