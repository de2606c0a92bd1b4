"""After the core's start: what became of the machines that an earlier core ran."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import MachineError, SandtopError, WrongState
from sandtop.core.fleet.specs import spec_of_running
from sandtop.core.fleet.stall import HELD, Cause, Stall
from sandtop.core.fleet.state import ALIVE, State
from sandtop.core.fleet.supervision import supervise
from sandtop.core.machine import Identity, Memory
from sandtop.core.machine.procfs import boot_id

if TYPE_CHECKING:
    from collections.abc import Collection

    from sandtop.core.fleet.context import Context
    from sandtop.core.fleet.machine import RunningMachine
    from sandtop.core.fleet.sandbox import Sandbox
    from sandtop.core.machine import Driver, MachineSpec
    from sandtop.core.store import Ownership, SandboxRow

log = logging.getLogger(__name__)
_OF_A_TEMPLATE: Final = Memory(Path("/memfd:sandtop-template"), Path("/memfd:sandtop-template"))
"""The memory of a machine that another core started from a template; only that core had names for its files."""
_PATIENCE: Final = 3.0
"""Seconds that a core's start waits for all adoptions; those that take longer go on beside it."""
_AGAIN: Final = 1.0
"""Seconds between attempts to adopt a machine that does not answer."""


async def adopt_all(sandboxes: Collection[Sandbox], context: Context) -> None:
    """Find the machines of ``sandboxes`` again.

    Returns when that is done, or after `_PATIENCE`: one machine that hangs must not keep the others waiting.
    """
    for sandbox in sandboxes:
        if sandbox.state in ALIVE or sandbox.state is State.CREATING:
            sandbox.adopting = trio.Event()
            context.nursery.start_soon(_adopt, sandbox, context)
        else:  # the core died, or its disk was full, before the ends of its sessions were stored
            sandbox.sessions.machine_gone(sandbox.row.reason or "the machine was gone")
    with trio.move_on_after(_PATIENCE):
        for sandbox in sandboxes:
            await sandbox.adopting.wait()


async def _adopt(sandbox: Sandbox, context: Context) -> None:
    """Take up one machine again. One that lives but does not answer is asked until it does, or somebody ends it."""
    said = None
    while True:
        async with sandbox.lifecycle:
            why = await _adopt_or_lose(sandbox, context)
        sandbox.unreachable = why is not None
        if why is None:
            break
        if why != said:
            log.warning("%s: not adopted: %s", sandbox.name, why)
            said = why
        await trio.sleep(_AGAIN)
    sandbox.adopting.set()


async def _adopt_or_lose(sandbox: Sandbox, context: Context) -> str | None:
    """None when it is settled what became of the machine, else why it has to be asked again."""
    if sandbox.machine is not None or sandbox.state not in ALIVE | {State.CREATING}:
        return None  # somebody ended it meanwhile, or started it anew
    ownership = sandbox.row.ownership
    if ownership is None:
        sandbox.lose(State.FAILED, "the core died while it was starting")
        return None
    why = await _try_to_adopt(sandbox, context, ownership)
    if why is None or sandbox.state not in ALIVE:
        return None
    if context.driver.lives(_identity(sandbox.row.uuid, ownership)):
        return why
    if ownership.boot_id != boot_id():
        sandbox.lose(State.STOPPED, "host reboot")
    elif sandbox.state is State.STOPPING:
        sandbox.lose(State.STOPPED, "stopped")
    else:
        sandbox.lose(State.LOST, f"its machine was gone when the core came back: {why}")
    return None


async def _try_to_adopt(sandbox: Sandbox, context: Context, ownership: Ownership) -> str | None:
    """None when that worked, else why not."""
    try:
        spec = await spec_of_running(context, sandbox.row, sandbox.overlay, ownership, log.info)
        await _adopt_running(sandbox, context, spec, ownership)
    except SandtopError as error:
        return error.message
    except Exception as error:  # one sandbox that makes no sense must not keep the core from starting
        log.exception("%s: a fault of ours", sandbox.name)
        return f"sandtop met a fault of its own: {error!r}"
    return None


async def _adopt_running(sandbox: Sandbox, context: Context, spec: MachineSpec, ownership: Ownership) -> None:
    """Take up the machine of an earlier core. Raises `MachineError` when it is gone or not this sandbox's."""
    opener = context.driver.adopt(
        _identity(sandbox.row.uuid, ownership),
        sandbox.name,
        runtime=sandbox.runtime,
        console_log=sandbox.console,
    )
    machine = await supervise(sandbox, context, spec, opener, token=ownership.token)
    if machine.vm.restored:  # an earlier core had it go on from a template
        machine.spec = replace(spec, memory=_OF_A_TEMPLATE)
    record = sandbox.record
    sandbox.tell("adopted")
    if record.state is State.STARTING:
        # how far it had come is not known, and nobody waits for it: `start` makes a new one
        record.to(State.FAILED, "the core died while it was starting", ownership=None)
        await machine.end()
        return
    actual: State = record.state
    try:
        actual = await _found(actual, sandbox.row.reason, machine)
    except MachineError as error:  # it is being watched: should it die, that will be seen
        log.warning("%s: %s", sandbox.name, error)
    machine.clock.due = True  # it may have stood still while nobody watched
    if record.state is not State.STOPPING:
        sandbox.ports.reopen()
    if record.state is State.STOPPING:
        await machine.end()
    elif actual is not record.state:
        record.to(actual)


async def _found(state: State, reason: str, machine: RunningMachine) -> State:
    """What an earlier core's machine does, whose sandbox was in ``state`` for ``reason``. Raises `MachineError`."""
    if (error := await machine.vm.disk_error()) is not None:
        if state is State.PAUSED:  # it will be told again when somebody resumes it
            return State.PAUSED
        machine.stopped_by(error)
        return State.RUNNING
    if not await machine.vm.paused():
        return State.RUNNING
    if state is State.RUNNING and reason == HELD:
        machine.stall = Stall(Cause.RESERVE)
        return State.RUNNING
    return State.PAUSED


async def end_unreachable(row: SandboxRow, driver: Driver, *, force: bool) -> bool:
    """End the machine of an earlier core that this one could not take up, with ``force``; whether it is gone by that.

    False without ``force``, when it is gone already; raises `WrongState` when it is not.
    """
    if row.ownership is None:
        return False
    identity = _identity(row.uuid, row.ownership)
    if force:
        await driver.end(identity, row.name)  # or it was gone, and `_adopt` has not seen that yet
        return True
    if driver.lives(identity):
        raise unreachable(row.name, "stop")
    return False  # `_adopt` is about to see that


def unreachable(name: str, doing: str) -> WrongState:
    """The error for a sandbox whose machine this core could not take up yet."""
    return WrongState(
        f"cannot {doing} {name}: its machine does not answer",
        sandbox=name,
        hint=f"try again, or end it as it is: sandtop stop --force {name}",
    )


def _identity(uuid: str, ownership: Ownership) -> Identity:
    return Identity(uuid, ownership.pid, ownership.start_time, ownership.boot_id, ownership.cid)
