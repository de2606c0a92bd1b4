"""One sandbox: its state, its machine while it has one, and what can be done with it."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import MachineError, SandtopError, StorageError, WrongState
from sandtop.core.fleet.adoption import end_unreachable, found, unreachable
from sandtop.core.fleet.launch import Launch
from sandtop.core.fleet.machine import RunningMachine
from sandtop.core.fleet.state import ALIVE, State, check_transition, require
from sandtop.core.machine import Identity, Memory
from sandtop.core.sessions.manager import SessionManager
from sandtop.core.store import Ownership, SandboxRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from sandtop.core.fleet.context import Context
    from sandtop.core.machine import Machine, MachineSpec

log = logging.getLogger(__name__)
_STARTABLE: Final = frozenset({State.STOPPED, State.FAILED, State.LOST})
_FAILED: Final = frozenset({State.FAILED, State.LOST})
_LAST_WORDS: Final = 30
"""Lines of the console in which an agent's last word is looked for; a traceback follows it."""
_FATAL: Final = "sandtop-agent: fatal:"
_OF_A_TEMPLATE: Final = Memory(Path("/memfd:sandtop-template"), Path("/memfd:sandtop-template"))
"""The memory of a machine that another core started; only that one had names for it."""
_REMOVABLE: Final = _STARTABLE
_ADOPT_SECONDS: Final = 60.0
"""How long a request waits for a machine's monitor to answer a core that came back, on a host that is very busy."""


class Sandbox:
    """A sandbox of this core. Life-cycle steps exclude each other; everything else goes on beside them."""

    def __init__(self, row: SandboxRow, context: Context) -> None:
        self.row = row
        self._context = context
        self.lifecycle = trio.Lock()
        """Held by whatever starts, stops, removes or adopts it."""
        self.machine: RunningMachine | None = None
        self.adopting = trio.Event()
        """Set once it is settled what became of an earlier core's machine."""
        self.adopting.set()
        self.unreachable = False
        """That machine lives but does not answer."""
        self.timings: dict[str, float] = {}
        self.holders = 0
        self._unsaved = False
        self.sessions = self._new_sessions()

    def _new_sessions(self) -> SessionManager:
        context, row = self._context, self.row
        logs = context.paths.logs / row.uuid
        return SessionManager(
            row.uuid, row.name, context.database, logs, context.settings, context.nursery, context.screens
        )  # fmt: skip

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def state(self) -> State:
        return State(self.row.state)

    @property
    def folder(self) -> Path:
        """What belongs to this sandbox on disk, less its logs."""
        return self._context.paths.sandboxes / self.row.uuid

    @property
    def overlay(self) -> Path:
        return self.folder / "overlay.img"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def runtime(self) -> Path:
        return self._context.paths.machine_runtime(self.row.uuid)

    @property
    def trouble(self) -> str | None:
        """What is wrong with its machine, its agent or its logs, in a few words; None when nothing is."""
        if (stands_still := self.stands_still) is not None:
            return stands_still
        if self.sessions.stalled is not None:
            return f"output waits: {self.sessions.stalled}"
        if self.unreachable:
            return "its machine does not answer"
        if self.state is State.RUNNING and self.machine is not None:
            link = self.machine.link
            if link.fault is not None:
                return f"its agent breaks the protocol: {link.fault}"
            if not link.connected or link.silent:
                return "its agent does not answer"
            if self.machine.unreadable is not None:
                return f"the host could not read its disk: {self.machine.unreadable}"
        return None

    @property
    def stands_still(self) -> str | None:
        """Why its machine does not go on although nobody paused it, in words; None when it does."""
        if (
            self.state not in (State.RUNNING, State.STOPPING)
            or self.machine is None
            or self.machine.stall is None
        ):
            return None
        return self.machine.stall.words(self.name, self._context.room)

    def _to(self, state: State, reason: str = "", **changes: object) -> None:
        check_transition(self.state, state)
        before = self.row
        self.row = dataclasses.replace(
            before,
            state=state.value,
            reason=reason,
            acknowledged_at=None,
            **changes,  # type: ignore[arg-type]
        )
        try:
            self._store()
        except StorageError as error:
            if state is State.STARTING:  # nothing has happened yet
                self.row, self._unsaved = before, False
                raise
            log.warning("%s is %s, which could not be stored: %s", self.name, state, error)

    def _store(self) -> None:
        self._unsaved = True
        self._context.database.update_sandbox(self.row)
        self._unsaved = False

    def acknowledge(self) -> None:
        """Somebody has seen that it failed: it asks for attention no more. Raises `WrongState` when it has not."""
        if self.state not in _FAILED:
            raise WrongState(f"{self.name} has not failed: it is {self.state}", sandbox=self.name)
        if self.row.acknowledged_at is None:
            row = dataclasses.replace(self.row, acknowledged_at=time.time())
            self._context.database.update_sandbox(row)
            self.row = row

    def save(self) -> None:
        """Store what a full disk refused when it happened. Raises `StorageError` when it still does."""
        if self._unsaved:
            self._store()

    # starting

    async def start(
        self,
        progress: Callable[[str], None],
        *,
        created: bool = False,
        cold: bool = False,
        accelerator: str = "",
    ) -> None:
        """Start the machine and return when its agent is ready. Raises what went wrong, with state `FAILED` left.

        ``accelerator``: the one for this start, before what the sandbox was created with.
        """
        async with self.lifecycle:
            if not created:
                require(self.name, self.state, _STARTABLE, "start")
            self._to(State.STARTING)
            self.timings = {}
            try:
                launch = Launch(self, self._context, progress, accelerator=accelerator)
                await launch.run(cold=cold)
                self.timings = launch.timings
                self._to(State.RUNNING, started_at=time.time())
            except SandtopError as error:
                if self.state is State.STARTING:
                    self._to(State.FAILED, error.message, ownership=None)
                error.sandbox = error.sandbox or self.name
                raise
            except BaseException:
                with trio.CancelScope(shield=True):
                    await self._abandon("interrupted while starting")
                raise

    # in the warm pool

    async def warm_up(self) -> None:
        """Have a machine ready that is nobody's yet; see `Launch.warm_up`. Raises; call `discard` then, as at the end.

        The database does not know of it.
        """
        await Launch(self, self._context, log.debug).warm_up()

    def become(self, row: SandboxRow) -> None:
        """The warm machine is that of the sandbox ``row`` from now on, which has its uuid; `start` it."""
        self.row = dataclasses.replace(row, ownership=self.row.ownership)
        self.sessions = self._new_sessions()
        if self.machine is not None:
            self.machine.belong_to(row, self.sessions)

    async def discard(self) -> None:
        """End a machine of the warm pool, and remove all that is left of it."""
        if self.machine is not None:
            await self.machine.end()
        await trio.to_thread.run_sync(partial(shutil.rmtree, self.folder, ignore_errors=True))

    # its machine

    async def accompany(
        self,
        spec: MachineSpec,
        opener: AbstractAsyncContextManager[Machine],
        token: str,
        boot_seconds: float | None,
    ) -> RunningMachine:
        """Open its machine in a task of its own, which stays until the machine is dead."""
        task = partial(self._live, spec, opener, token, boot_seconds)
        machine: RunningMachine = await self._context.nursery.start(task, name=f"machine of {self.name}")
        return machine

    async def _live(
        self,
        spec: MachineSpec,
        opener: AbstractAsyncContextManager[Machine],
        token: str,
        boot_seconds: float | None,
        task_status: trio.TaskStatus[RunningMachine],
    ) -> None:
        async with opener as vm:
            machine = RunningMachine(self.row, spec, vm, token, self.sessions)
            identity = vm.identity
            ownership = Ownership(
                identity.pid, identity.start_time, identity.boot_id, token, spec.accelerator.value
            )
            if ownership != self.row.ownership:  # an adopted one is known already, also when the disk is full
                self.row = dataclasses.replace(self.row, ownership=ownership)
                self._context.database.update_sandbox(self.row)
            self.machine = machine
            task_status.started(machine)
            await machine.run(boot_seconds)
        await self._settle(machine)

    async def _settle(self, machine: RunningMachine) -> None:
        """The machine is dead: put the sandbox in order."""
        death = machine.death
        reason = death.reason if death else "the machine died"
        lines = machine.vm.console_tail(_LAST_WORDS).splitlines()
        said = next((line for line in lines if _FATAL in line), lines[-1] if lines else "")
        self.machine = None
        self.sessions.attach_link(None)
        self.sessions.machine_gone(reason)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._context.driver.remove_runtime, self.runtime)
        if self.state is State.STOPPING:
            self._to(State.STOPPED, "stopped", ownership=None)
        elif self.state in (State.RUNNING, State.PAUSED):
            if death and death.orderly and _FATAL not in said:  # an agent that fails switches its machine off
                self._to(State.STOPPED, reason, ownership=None)
            else:
                self._to(State.FAILED, f"{reason}; console: {said}" if said else reason, ownership=None)
        machine.settled.set()

    async def _abandon(self, why: str) -> None:
        if self.state is State.STARTING:
            self._to(State.FAILED, why, ownership=None)
        if self.machine is not None:
            await self.machine.end()

    # adopting

    async def adopt(self, spec: MachineSpec) -> None:
        """Take up the machine of an earlier core. Raises `MachineError` when it is gone or not this sandbox's."""
        ownership = self.row.ownership
        if ownership is None:
            raise MachineError("it has no machine")
        identity = Identity(self.row.uuid, ownership.pid, ownership.start_time, ownership.boot_id)
        opener = self._context.driver.adopt(
            identity, self.name, runtime=self.runtime, console_log=self.console
        )
        machine = await self.accompany(spec, opener, ownership.token, None)
        if machine.vm.restored:  # an earlier core had it go on from a template
            machine.spec = dataclasses.replace(spec, memory=_OF_A_TEMPLATE)
        if self.state is State.STARTING:
            # how far it had come is not known, and nobody waits for it: `start` makes a new one
            self._to(State.FAILED, "the core died while it was starting", ownership=None)
            await machine.end()
            return
        actual: State = self.state
        try:
            actual = await found(self.state, self.row.reason, machine)
        except MachineError as error:  # it is being watched: should it die, that will be seen
            log.warning("%s: %s", self.name, error)
        machine.clock.due = True  # it may have stood still while nobody watched
        if self.state is State.STOPPING:
            await machine.end()
        elif actual is not self.state:
            self._to(actual)

    async def adopted(self) -> None:
        """After the core's start: return once it is known whether the machine of the earlier core lives."""
        if not self.adopting.is_set():  # to wait for what has happened takes a turn of the loop
            with trio.move_on_after(_ADOPT_SECONDS):
                await self.adopting.wait()

    def lose(self, state: State, reason: str) -> None:
        """The machine of an earlier core is gone."""
        self.unreachable = False
        self.sessions.machine_gone(reason)
        self._to(state, reason, ownership=None)

    # steering

    def running_machine(self, doing: str) -> RunningMachine:
        """The machine, when it runs. Raises `WrongState` at once when it does not, or is paused, or stands still."""
        machine = self._machine_in(State.RUNNING, doing)
        if (stands_still := self.stands_still) is not None:
            raise WrongState(
                f"cannot {doing} {self.name}: it {stands_still}",
                sandbox=self.name,
                hint=f"free some space on the host, or end it: sandtop rm --force {self.name}",
            )
        return machine

    def _machine_in(self, state: State, doing: str) -> RunningMachine:
        require(self.name, self.state, frozenset({state}), doing)
        if self.machine is None:
            raise unreachable(self.name, doing)
        return self.machine

    async def pause(self) -> None:
        """Stop the machine's processors; its memory stays."""
        async with self.lifecycle:
            machine = self._machine_in(State.RUNNING, "pause")
            await machine.vm.pause()
            machine.stall = None  # now it is somebody's wish that it stands still
            self._to(State.PAUSED)

    async def resume(self) -> None:
        """Let a paused machine go on, or one that a full or broken disk stopped.

        Raises `WrongState`, and `StorageError` when the disk does not let it.
        """
        async with self.lifecycle:
            machine = self.machine
            if self.state is State.RUNNING and machine is not None and machine.stall is not None:
                room = await trio.to_thread.run_sync(self._context.look_at_room)
                machine.stall.check(self.name, room)
            else:
                machine = self._machine_in(State.PAUSED, "resume")
            stall = await machine.go_on()
            if self.state is State.PAUSED:
                self._to(State.RUNNING)
            else:
                self.remember("")
            if stall is not None:
                raise stall.error(self.name)

    def remember(self, reason: str) -> None:
        """Keep ``reason`` for a later core. A disk that takes nothing is asked again by `save`."""
        if self.row.reason == reason:
            return
        self.row = dataclasses.replace(self.row, reason=reason)
        try:
            self._store()
        except StorageError as error:
            log.warning("%s: %s", self.name, error)

    async def stop(self, *, force: bool) -> None:
        """End what runs in it and switch it off; with ``force``, at once."""
        async with self.lifecycle:
            require(self.name, self.state, frozenset({State.RUNNING, State.PAUSED, State.STOPPING}), "stop")
            await self._stop(force=force)

    async def _stop(self, *, force: bool) -> None:
        machine = self.machine
        if machine is None:
            if await end_unreachable(self.row, self._context.driver, force=force):
                self.sessions.stopping()
                await trio.to_thread.run_sync(self._context.driver.remove_runtime, self.runtime)
                self.lose(State.STOPPED, "stopped")
            return
        stands = self.state is State.PAUSED or machine.stall is not None
        if self.state is not State.STOPPING:
            self._to(State.STOPPING)
        self.sessions.stopping()
        if force:
            await machine.end()
            return
        if stands:  # one that its disk does not let go on is ended in the end
            await machine.go_on()
        await machine.shut_down(self._context.settings.stop_seconds)

    async def restart(
        self, progress: Callable[[str], None], *, force: bool, cold: bool = False, accelerator: str = ""
    ) -> None:
        """Stop it, if it runs, and start it."""
        if self.state in (State.RUNNING, State.PAUSED):
            await self.stop(force=force)
        await self.start(progress, cold=cold, accelerator=accelerator)

    async def remove(self, *, force: bool, keep_history: bool) -> None:
        """Delete the sandbox and all it wrote. Its sessions' logs and records stay with ``keep_history``."""
        async with self.lifecycle:
            if force and self.state in ALIVE:
                await self._stop(force=True)
            require(self.name, self.state, _REMOVABLE, "remove")
            await trio.to_thread.run_sync(partial(shutil.rmtree, self.folder, ignore_errors=True))
            await trio.to_thread.run_sync(self._context.driver.remove_runtime, self.runtime)
            if keep_history:
                self.row = dataclasses.replace(self.row, removed_at=time.time(), reason="removed")
                self._context.database.update_sandbox(self.row)
                return
            logs = self._context.paths.logs / self.row.uuid
            await trio.to_thread.run_sync(partial(shutil.rmtree, logs, ignore_errors=True))
            self._context.database.remove_sandbox(self.row.uuid)
