"""The task that stays with a sandbox's machine until that is dead, and then puts the sandbox in order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import trio

from sandtop.core.errors import StorageError
from sandtop.core.fleet.machine import RunningMachine
from sandtop.core.fleet.state import State
from sandtop.core.machine import Network
from sandtop.core.store import Ownership

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sandtop.core.egress import Egress
    from sandtop.core.events import Teller
    from sandtop.core.fleet.context import Context
    from sandtop.core.fleet.published import Published
    from sandtop.core.fleet.record import Record
    from sandtop.core.machine import Machine, MachineSpec
    from sandtop.core.sessions.manager import SessionManager
    from sandtop.core.store import SandboxRow

    Opener = AbstractAsyncContextManager[Machine]

_LAST_WORDS: Final = 30
"""Lines of the console in which an agent's last word is looked for; a traceback follows it."""
_FATAL: Final = "sandtop-agent: fatal:"


class Owner(Protocol):
    """The sandbox that a machine is for."""

    record: Record
    tell: Teller
    sessions: SessionManager
    machine: RunningMachine | None
    ports: Published
    egress: Egress

    @property
    def row(self) -> SandboxRow: ...
    @property
    def name(self) -> str: ...
    @property
    def overlay(self) -> Path: ...
    @property
    def console(self) -> Path: ...
    @property
    def runtime(self) -> Path: ...


async def supervise(
    sandbox: Owner,
    context: Context,
    spec: MachineSpec,
    opener: Opener,
    *,
    token: str,
    boot_seconds: float | None = None,
) -> RunningMachine:
    """Open the machine of ``sandbox`` in a task of its own, which stays until it is dead.

    ``token`` is the secret of its handshake. ``boot_seconds``: how long it may take to boot; None for one whose agent
    is up. Raises what ``opener`` raises, and `StorageError` when it cannot be stored how it is found again.
    """
    task = partial(_live, sandbox, context, spec, opener, token, boot_seconds)
    machine: RunningMachine = await context.nursery.start(task, name=f"machine of {sandbox.name}")
    return machine


async def _live(
    sandbox: Owner,
    context: Context,
    spec: MachineSpec,
    opener: Opener,
    token: str,
    boot_seconds: float | None,
    task_status: trio.TaskStatus[RunningMachine],
) -> None:
    async with opener as vm:
        machine = RunningMachine(sandbox.row, spec, vm, token, sandbox.sessions)
        if spec.network is Network.FILTERED:
            machine.link.outward = sandbox.egress
            machine.certificate = sandbox.egress.keys.certificate
        its = vm.identity
        try:
            accelerator = spec.accelerator.value
            owned = Ownership(its.pid, its.start_time, its.boot_id, token, accelerator, its.cid)
            sandbox.record.own(owned)
        except StorageError:  # no core would find it again
            with trio.CancelScope(shield=True):
                await vm.kill()
                await trio.to_thread.run_sync(context.driver.remove_runtime, sandbox.runtime)
            raise
        sandbox.machine = machine
        task_status.started(machine)
        await machine.run(boot_seconds)
    await _settle(sandbox, context, machine)


async def _settle(sandbox: Owner, context: Context, machine: RunningMachine) -> None:
    """The machine is dead: put the sandbox in order."""
    death = machine.death
    reason = death.reason if death else "the machine died"
    lines = machine.vm.console_tail(_LAST_WORDS).splitlines()
    said = next((line for line in lines if _FATAL in line), lines[-1] if lines else "")
    if sandbox.record.state in (State.RUNNING, State.PAUSED):
        sandbox.tell("died", reason)
    sandbox.machine = None
    if sandbox.record.state is not State.STARTING:  # else another machine is about to be tried
        sandbox.ports.close()
    sandbox.sessions.attach_link(None)
    sandbox.sessions.machine_gone(reason)
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(context.driver.remove_runtime, sandbox.runtime)
    record = sandbox.record
    if record.state is State.STOPPING:
        record.to(State.STOPPED, "stopped", ownership=None)
    elif record.state in (State.RUNNING, State.PAUSED):
        if death and death.orderly and _FATAL not in said:  # an agent that fails switches its machine off
            record.to(State.STOPPED, reason, ownership=None)
        else:
            record.to(State.FAILED, f"{reason}; console: {said}" if said else reason, ownership=None)
    machine.settled.set()
