"""One sandbox: its state, its machine while it has one, and what can be done with it."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.egress import Egress, Keys
from sandtop.core.errors import SandtopError, WrongState
from sandtop.core.events import Teller
from sandtop.core.fleet import stop_signal
from sandtop.core.fleet.adoption import end_unreachable, unreachable
from sandtop.core.fleet.folders import check_folders
from sandtop.core.fleet.launch import Launch
from sandtop.core.fleet.mounts import check_volumes, make_volumes
from sandtop.core.fleet.published import Published
from sandtop.core.fleet.raised import Alerts
from sandtop.core.fleet.record import Record
from sandtop.core.fleet.state import ALIVE, State, require
from sandtop.core.sessions.manager import SessionManager

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandtop.core.channel import GuestConnection
    from sandtop.core.fleet.context import Context
    from sandtop.core.fleet.machine import RunningMachine
    from sandtop.core.store import SandboxRow

log = logging.getLogger(__name__)
_STARTABLE: Final = frozenset({State.STOPPED, State.FAILED, State.LOST})
_REMOVABLE: Final = _STARTABLE
_INTERRUPTED: Final = "interrupted while starting"
_ADOPT_SECONDS: Final = 60.0
"""How long a request waits for a machine's monitor to answer a core that came back, on a host that is very busy."""


class Sandbox:
    """A sandbox of this core. Life-cycle steps exclude each other; everything else goes on beside them."""

    def __init__(self, row: SandboxRow, context: Context, *, warm: bool = False) -> None:
        """``warm``: it is nobody's yet, and what happens to it is no event."""
        self.tell = Teller(None if warm else context.events, row.name, row.uuid)
        """Adds to the events."""
        self.record = Record(row, context.database, self.tell)
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
        self.disk_used: int | None = None
        """Bytes that its disk takes on the host, when they were looked at last; see `Fleet.look_at_disks`."""
        self.holders = 0
        self.alerts = Alerts(row.uuid, context.database)
        self.sessions = self._new_sessions()
        self.ports = Published(lambda: self.row, self.connect, context.nursery)
        self.egress = Egress(
            lambda: self.row.config.allow,
            lambda: self.tell,
            context.nursery,
            keys=Keys(lambda: self.row.config.secrets, lambda: self.folder),
        )

    def _new_sessions(self) -> SessionManager:
        context, row = self._context, self.row
        logs = context.paths.logs / row.uuid
        return SessionManager(
            row.uuid, row.name, context.database, logs, context.settings, context.nursery, context.screens, self.tell
        )  # fmt: skip

    @property
    def row(self) -> SandboxRow:
        return self.record.row

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def state(self) -> State:
        return self.record.state

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
            for mount in self.row.config.mounts:
                if mount.target in self.sessions.listener.unmounted:
                    return f"{mount.target} is not mounted any more: restart it"
            if unknown := self.egress.keys.vault.unknown:
                words = " ".join(f"{name}=…" for name in unknown)
                return f"secrets have to be given again: sandtop net {self.name} secret {words}"
            return self.ports.fault
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
        try:
            async with self.lifecycle:
                await self._start(progress, created=created, cold=cold, accelerator=accelerator)
        except BaseException:
            if created and self.state is State.CREATING:  # it was cut off before it began
                with trio.CancelScope(shield=True):
                    await self._abandon(_INTERRUPTED)
            raise

    async def _start(
        self, progress: Callable[[str], None], *, created: bool = False, cold: bool, accelerator: str
    ) -> None:
        if not created:
            require(self.name, self.state, _STARTABLE, "start")
        await check_folders(self.row.config.mounts, self.name, self._context.driver)
        if created:
            await make_volumes(self._context, self.row, progress)
        check_volumes(self.row, self._context.everyone())
        self.ports.open()  # before anything else: a port that somebody else has changes nothing here
        try:
            await self._launch(progress, cold=cold, accelerator=accelerator)
            self.ports.serve()
        except BaseException:
            self.ports.close()
            raise

    async def _launch(self, progress: Callable[[str], None], *, cold: bool, accelerator: str) -> None:
        self.record.to(State.STARTING)
        self.timings = {}
        try:
            launch = Launch(self, self._context, progress, accelerator=accelerator)
            await launch.run(cold=cold)
            self.timings = launch.timings
            self.record.to(State.RUNNING, started_at=time.time())
        except SandtopError as error:
            if self.state is State.STARTING:
                self.record.to(State.FAILED, error.message, ownership=None)
            error.sandbox = error.sandbox or self.name
            raise
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._abandon(_INTERRUPTED)
            raise

    # in the warm pool

    async def warm_up(self) -> None:
        """Have a machine ready that is nobody's yet; see `Launch.warm_up`. Raises; call `discard` then, as at the end.

        The database does not know of it.
        """
        await Launch(self, self._context, log.debug).warm_up()

    def become(self, row: SandboxRow) -> None:
        """The warm machine is that of the sandbox ``row`` from now on, which has its uuid; `start` it."""
        self.tell = Teller(self._context.events, row.name, row.uuid)
        owned = dataclasses.replace(row, ownership=self.row.ownership)
        self.record = Record(owned, self._context.database, self.tell)
        self.sessions = self._new_sessions()
        if self.machine is not None:
            self.machine.belong_to(row, self.sessions)

    async def discard(self) -> None:
        """End a machine of the warm pool, and remove all that is left of it."""
        if self.machine is not None:
            await self.machine.end()
        await trio.to_thread.run_sync(partial(shutil.rmtree, self.folder, ignore_errors=True))

    async def _abandon(self, why: str) -> None:
        if self.state in (State.CREATING, State.STARTING):
            self.record.to(State.FAILED, why, ownership=None)
        if self.machine is not None:
            await self.machine.end()

    async def adopted(self) -> None:
        """After the core's start: return once it is known whether the machine of the earlier core lives."""
        if not self.adopting.is_set():  # to wait for what has happened takes a turn of the loop
            with trio.move_on_after(_ADOPT_SECONDS):
                await self.adopting.wait()

    def lose(self, state: State, reason: str) -> None:
        """The machine of an earlier core is gone."""
        self.unreachable = False
        self.sessions.machine_gone(reason)
        self.record.to(state, reason, ownership=None)

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

    async def connect(self, port: int) -> GuestConnection:
        """A connection to ``port`` in it. Raises as `running_machine` and `Connections.open`."""
        machine = self.running_machine(f"connect to port {port} of")
        return await machine.link.connections.open(port, self.name)

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
            self.record.to(State.PAUSED)

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
            await machine.let_run()
            if self.state is State.PAUSED:
                self.record.to(State.RUNNING)
            else:
                self.record.remember("")
            if (stall := await machine.stalls_again()) is not None:
                raise stall.error(self.name)

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
            self.record.to(State.STOPPING)
        self.sessions.stopping()
        if force:
            await machine.end()
            await trio.lowlevel.checkpoint_if_cancelled()  # a core that ends leaves it to the next one
            return
        if stands:  # one that its disk does not let go on is ended in the end
            try:
                await machine.go_on()
            except BaseException:  # it would stand still for ever, and be about to stop
                await machine.end()
                raise
        seconds: float = self._context.settings.stop_seconds
        number = stop_signal.number_of(self.row.config.stop_signal)
        if number is not None:
            seconds = await stop_signal.ask_to_end(machine.link, self.sessions, number, seconds)
        await machine.shut_down(seconds)

    async def restart(
        self, progress: Callable[[str], None], *, force: bool, cold: bool = False, accelerator: str = ""
    ) -> None:
        """Stop it, if it runs, and start it."""
        async with self.lifecycle:
            if self.state in (State.RUNNING, State.PAUSED):
                await self._stop(force=force)
            await self._start(progress, cold=cold, accelerator=accelerator)

    async def remove(self, *, force: bool, keep_history: bool) -> None:
        """Delete the sandbox and all it wrote. Its sessions' logs and records stay with ``keep_history``."""
        async with self.lifecycle:
            if force and self.state in ALIVE:
                await self._stop(force=True)
            require(self.name, self.state, _REMOVABLE, "remove")
            await trio.to_thread.run_sync(partial(shutil.rmtree, self.folder, ignore_errors=True))
            await trio.to_thread.run_sync(self._context.driver.remove_runtime, self.runtime)
            if not keep_history:
                logs = self._context.paths.logs / self.row.uuid
                await trio.to_thread.run_sync(partial(shutil.rmtree, logs, ignore_errors=True))
            self.record.remove(keep_history=keep_history)
