"""The running machine of a sandbox: the driver's machine, the link to its agent, and the tasks that both need."""

from __future__ import annotations

import logging
import os
import secrets
import time
from base64 import b64encode
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.agent.wire.limits import PIPE_WINDOW, TTY_WINDOW
from sandtop.core.channel import AgentLink
from sandtop.core.errors import ChannelError, MachineError, SandtopError, StorageError
from sandtop.core.fleet.clock import Clock
from sandtop.core.fleet.mounts import mount_all
from sandtop.core.fleet.stall import Cause, Patience, Stall
from sandtop.core.fleet.warm_up import warm_up
from sandtop.core.groups import unwrapped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sandtop.core.fleet.context import Context
    from sandtop.core.machine import Death, DiskError, Machine, MachineSpec
    from sandtop.core.sessions.manager import SessionManager
    from sandtop.core.store import SandboxRow

log = logging.getLogger(__name__)
_CONFIGURE_DEADLINE: Final = 20.0
_SHUTDOWN_MARGIN: Final = 15.0
"""Seconds beyond the grace for an agent to end what runs, unmount and switch off, also on a busy host."""
_CONSOLE_LINES: Final = 6


class RunningMachine:
    """A machine with the link to its agent. `run` owns the tasks; everything else may be called beside it.

    Attributes:
        spec: what it was started from.
        vm: the driver's machine.
        link: the link to its agent.
        clock: the guest's clock.
        stall: why its processors stand still without having been paused; None when they do not.
        unreadable: why the host could not read its disk, if that ever happened; the guest was told.
        certificate: gives that of whom its programs are to trust beside all others, in PEM, or None.
        death: how it ended; None while it runs.
        settled: set when all is in order after its death, or when this core ends and looks after it no more.
    """

    def __init__(
        self, row: SandboxRow, spec: MachineSpec, vm: Machine, token: str, sessions: SessionManager
    ) -> None:
        self._row = row
        self._sessions = sessions
        self.spec = spec
        self.vm = vm
        self.link = AgentLink(vm.agent(), token, sessions.listener)
        self.clock = Clock(self.link, self._defaults)
        self.stall: Stall | None = None
        self.unreadable: str | None = None
        self.certificate: Callable[[], str | None] = lambda: None
        self._stalled = trio.Event()
        self._patience = Patience()
        self.death: Death | None = None
        self._dead = trio.Event()
        self.settled = trio.Event()

    async def run(self, boot_seconds: float | None) -> None:
        """Run the link and watch the disk until the machine dies. Returns then, with ``death`` set.

        ``boot_seconds`` is how long it may take to boot; None for a machine whose agent is up already.
        """
        self._sessions.attach_link(self.link)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.link.run, boot_seconds)
                nursery.start_soon(self._heed_disk)
                self.death = await self.vm.wait()
                nursery.cancel_scope.cancel()
        except BaseException:
            self.settled.set()  # or `end` would wait for ever
            raise
        self._dead.set()

    async def boot(self, boot_seconds: float, timings: dict[str, float]) -> None:
        """Wait until the agent of a machine that was just started is ready.

        ``timings`` gets the time (trio's clock) at which each step was done. Raises `MachineError` with the console's
        last lines as soon as the machine dies, or after ``boot_seconds``.
        """
        await self.or_death(lambda: self.link.wait_up(boot_seconds))
        timings["agent"] = trio.current_time()
        await self.or_death(self.configure)
        timings["configured"] = trio.current_time()

    async def mount(self, context: Context) -> None:
        """Mount in it what belongs there. Raises as `boot`, and for what cannot be mounted `StorageError`."""
        await self.or_death(lambda: mount_all(self._row, context, self.link, self.vm, self._sessions.files))

    def belong_to(self, row: SandboxRow, sessions: SessionManager) -> None:
        """A machine of the warm pool becomes that of the sandbox ``row``, which has it configured anew."""
        self._row, self._sessions, self.link.listener = row, sessions, sessions.listener
        self.spec = replace(self.spec, name=row.name)
        self.vm.rename(row.name)
        sessions.attach_link(self.link)

    async def warm_up(self) -> None:
        """Run a first program and pause, until `vm.resume`. Raises `MachineError`."""
        await self.or_death(lambda: warm_up(self.link))
        await self.vm.pause()

    # a disk that has no room

    async def _heed_disk(self) -> None:
        async for error in self.vm.disk_errors:
            if error.stopped:
                self.stopped_by(error)
            else:
                self.unreadable = error.reason

    def stopped_by(self, error: DiskError) -> None:
        """Its disk refused a write, and it stands still."""
        if self.stall is None:
            log.warning("%s stands still: the host's disk refused a write (%s)", self._row.name, error.reason)
        self.stall = self._patience.stall(error, trio.current_time())
        self._stalled.set()

    async def hold(self) -> None:
        """Stop it before the disk is full. Raises `MachineError`."""
        self.stall = Stall(Cause.RESERVE)
        self._stalled.set()
        await self.vm.pause()

    async def go_on(self) -> Stall | None:
        """Let its processors run after whatever stopped them, with the host's time on its clock.

        Returns when the guest has that, or soon in any case; what stopped it again at once, or None. Raises
        `MachineError`.
        """
        await self.let_run()
        return await self.stalls_again()

    async def let_run(self) -> None:
        """Let its processors run after whatever stopped them. Raises `MachineError`; it stands still as before then."""
        before, self.stall, self._stalled = self.stall, None, trio.Event()
        self._patience.went_on(trio.current_time())
        try:
            await self.vm.resume()
        except BaseException:
            self.stall = self.stall or before
            raise

    async def stalls_again(self) -> Stall | None:
        """Set the clock of a machine that goes on, while nothing stops it: what did, or None."""
        async with trio.open_nursery() as nursery:

            async def until_stalled() -> None:
                await self._stalled.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until_stalled)
            await self.clock.set()
            nursery.cancel_scope.cancel()
        return self.stall

    async def configure(self) -> None:
        """Give the agent its identity and defaults. Raises `MachineError` when it refuses, `StorageError`."""
        # the first of all takes a while: it imports what makes certificates
        trust = await trio.to_thread.run_sync(self.certificate) if self._row.config.secrets else None
        answer = await self.link.request(
            {
                "type": "configure",
                **self._defaults(),
                "hostname": self._row.name,
                "machine_id": self._row.uuid.replace("-", ""),
                "entropy": b64encode(os.urandom(64)).decode(),
                "clock_ns": time.time_ns(),
                "trust": trust,
            },
            _CONFIGURE_DEADLINE,
        )
        error = answer.get("error")
        if error is not None:
            said = cast("Mapping[str, object]", error).get("message") if isinstance(error, dict) else error
            raise MachineError(f"the agent refused its configuration: {str(said)[:300]}")
        self._sessions.listener.take_warnings(answer.get("warnings"))

    def _defaults(self) -> dict[str, object]:
        """The fields of a ``configure`` that say how sessions are started."""
        config = self._row.config
        return {
            "env": dict(config.env),
            "workdir": config.workdir,
            "shell": config.shell,
            "user": config.user,
            "window": PIPE_WINDOW,
            "tty_window": TTY_WINDOW,
        }

    async def or_death(self, step: Callable[[], Awaitable[object]]) -> None:
        """Await ``step``; raises `MachineError` as soon as the machine dies, or for what ``step`` raises.

        Raises `StorageError` as soon as the disk stops it, which is no fault of the machine's or its template's.
        """
        failure, refusal = "the machine died", None
        async with trio.open_nursery() as nursery:

            async def watch(end: trio.Event) -> None:
                await end.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch, self._dead)
            nursery.start_soon(watch, self._stalled)
            try:
                await step()
            except (ChannelError, MachineError) as error:
                failure = error.message
            except SandtopError as error:
                failure, refusal = "", error
            else:
                failure = ""
            nursery.cancel_scope.cancel()
        if self._dead.is_set() and self.death is not None:
            failure = self.death.reason
        elif (stall := self.stall) is not None:
            raise StorageError(
                f"{self._row.name} could not start: the host's disk refused a write ({stall.reason})",
                sandbox=self._row.name,
                hint="free some space, or mend the disk, and start it again",
            )
        if refusal is not None:
            raise refusal
        if failure:
            lines = self.vm.console_tail(_CONSOLE_LINES).splitlines()
            console = (
                f"; its console's last lines: {' | '.join(lines)}" if lines else "; its console is empty"
            )
            raise MachineError(
                f"{self._row.name} could not start: {failure}{console}",
                sandbox=self._row.name,
                hint="sandtop doctor checks this host",
            )

    async def shut_down(self, grace: float) -> None:
        """Have the agent end everything and switch off; stop the machine if that takes too long."""
        with trio.move_on_after(grace + _SHUTDOWN_MARGIN):
            with suppress(ChannelError):  # it may have switched off before it could answer
                await self.link.request(
                    {"type": "shutdown", "grace_ms": int(grace * 1000)}, grace + _SHUTDOWN_MARGIN
                )
            await self.settled.wait()
            return
        await self.end()

    async def end(self) -> None:
        """End the machine at once, and return when nothing of it is left. Raises `MachineError` when it will not.

        When this core is ending itself, the next one does it.
        """
        with trio.CancelScope(shield=True), unwrapped():
            async with trio.open_nursery() as nursery:

                async def until_settled() -> None:
                    await self.settled.wait()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(until_settled)
                if self.death is None:  # else its descriptors may be closed by now
                    await self.vm.stop()


def new_token() -> str:
    """A fresh secret for a machine's handshake."""
    return secrets.token_hex(16)
