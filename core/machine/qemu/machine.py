"""One machine as the rest of the core sees it: its process, its monitor and its console together."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.errors import MachineError, StorageError
from sandtop.core.machine import console
from sandtop.core.machine.qemu import diskerror, qmp, snapshot
from sandtop.core.machine.qemu.commandline import Role
from sandtop.core.machine.qemu.descriptors import remove_runtime
from sandtop.core.machine.qemu.process import Death, Identity, MachineProcess, launch
from sandtop.core.machine.qemu.process import adopt as adopt_process
from sandtop.core.machine.text import last_match

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from sandtop.core.machine.spec import MachineSpec

QUIT_DEADLINE: Final = 5.0
"""Seconds for QEMU to flush its disks and exit when asked to."""

STOP_DEADLINE: Final = 60.0
"""Seconds for QEMU to stop a machine: its processors stand still at once, but the answer comes when what the guest has
written is on the host's disk."""

_DRAIN: Final = 1.0
"""Seconds for what a dead machine said last to be read; it is in our sockets' buffers."""

_PANIC_LINES: Final = 100
"""How far above the end of the console a panic is looked for: its stack trace comes after it."""

_CAUSES: Final = {
    "guest-shutdown": "the guest switched itself off",
    "guest-reset": "the guest restarted itself, which ends a machine",
    "host-qmp-quit": "sandtop stopped it",
    "host-signal": "somebody on the host told QEMU to end",
}
"""QEMU's reasons for its end (ShutdownCause) in words."""

_ORDERLY: Final = ("guest-shutdown", "host-qmp-quit")

_LAST_GASP: Final = 1.0
"""Seconds for a QEMU that dropped its monitor to end by itself, so that its own reason is known."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that runs, made by `start` or `adopt`.

    Attributes:
        process: QEMU; its ``identity`` is what to keep for `adopt`.
        monitor: QMP.
        runtime: the folder of its sockets.
        console_log: where the console is kept.
    """

    process: MachineProcess
    monitor: qmp.QmpClient
    runtime: Path
    console_log: Path
    _console_ended: trio.Event

    @property
    def name(self) -> str:
        """The sandbox's, for errors."""
        return self.process.name

    def rename(self, name: str) -> None:
        """From now on it is another sandbox's machine."""
        self.process.name = self.monitor.name = name

    @property
    def agent_socket(self) -> Path:
        """The Unix socket of the agent's virtio-serial port; it takes one connection at a time."""
        return self.runtime / Role.AGENT.value

    async def resume(self) -> None:
        """Let the processors run: the first time, or after `pause`. Raises `MachineError`."""
        await self.monitor.execute("cont")

    async def pause(self) -> None:
        """Stop the processors. Raises `MachineError`."""
        await self.monitor.execute("stop", deadline=STOP_DEADLINE)

    async def status(self) -> str:
        """QEMU's run state: ``prelaunch``, ``running``, ``paused``, ``shutdown`` … Raises `MachineError`."""
        answer = await self.monitor.execute("query-status")
        status = cast("dict[str, object]", answer).get("status") if isinstance(answer, dict) else None
        if not isinstance(status, str):
            raise MachineError("QEMU's query-status makes no sense", sandbox=self.name)
        return status

    async def disk_error(self) -> diskerror.DiskError | None:
        """What the disk refused of a machine that stands still by it (``io-error``). Raises `MachineError`."""
        if await self.status() != "io-error":
            return None
        answer = await self.monitor.execute("query-block")
        return diskerror.found(answer) or diskerror.DiskError("the disk failed", stopped=True)

    async def agent_opens_port(self) -> None:
        """Return when the guest has opened the agent's port.

        Takes the monitor's events: for the first task of a machine that is to be saved. Raises `MachineError` if QEMU
        ends before, `StorageError` as soon as the host refuses what it writes.
        """
        async for event in self.monitor.events:
            if event.name == "VSERPORT_CHANGE" and event.data.get("open") is True:
                return
            if (error := diskerror.told(event)) is not None and error.stopped:
                raise StorageError(
                    f"the host refused what the machine wrote: {error.reason}", sandbox=self.name
                )
        raise MachineError((await self.wait()).reason, sandbox=self.name)

    async def save(self, state: Path) -> None:
        """Stop the processors for good and save what the machine is now; see `snapshot.save`."""
        await snapshot.save(self.monitor, self.name, state)

    async def wait(self) -> Death:
        """Wait, as long as it takes, for QEMU to end; the console log is complete then.

        The death that it returns has its cause, where the guest's console or the monitor told it.
        """
        death = await self.process.wait()
        with trio.move_on_after(_DRAIN):
            await self.monitor.ended.wait()
            await self._console_ended.wait()
        return self._explained(death)

    async def quit(self, deadline: float = QUIT_DEADLINE) -> Death:
        """End QEMU now, in order: what the guest has written reaches the host's files. The guest is not asked.

        QEMU is killed when it does not obey within ``deadline`` seconds, which loses nothing that the guest had
        flushed. Raises `MachineError` when even that does not end it.
        """
        with trio.move_on_after(deadline):
            # its answer may be lost with the connection; the end of the process is what counts
            with suppress(MachineError):
                await self.monitor.execute("quit", deadline=deadline)
            return await self.wait()
        return await self.kill()

    async def kill(self) -> Death:
        """SIGKILL, and see that QEMU is gone. Raises `MachineError` when it is not."""
        await self.process.kill()
        return await self.wait()

    def _explained(self, death: Death) -> Death:
        """``death`` with what the monitor and the console tell of it."""
        shutdown = self.monitor.shutdown
        cause = _CAUSES.get(shutdown or "")
        if death.status != 0 or cause is None:
            return death
        if shutdown == "guest-reset":
            panic = last_match(self.console_tail(_PANIC_LINES), "Kernel panic")
            cause = f"the guest's kernel gave up: {panic}" if panic else cause
        return replace(death, cause=cause, orderly=shutdown in _ORDERLY)

    def console_tail(self, lines: int = 20) -> str:
        """The last lines that the guest printed, fit for a terminal."""
        return console.tail(self.console_log, lines)


class DiedAtStart(MachineError):
    """QEMU ended before its machine ran.

    Attributes:
        death: how.
    """

    def __init__(self, death: Death, name: str) -> None:
        super().__init__(death.reason, sandbox=name)
        self.death = death


@asynccontextmanager
async def start(
    spec: MachineSpec, *, runtime: Path, console_log: Path, qemu: Path, tied: int | None = None
) -> AsyncGenerator[Machine]:
    """Launch the machine of ``spec``, have it load its state if it has one, and let its processors run.

    It goes on when the context ends, unless `Machine.quit` or `Machine.kill` was called. ``runtime`` becomes the
    folder of its sockets: `remove_runtime` it when the machine has ended. ``console_log`` begins anew. ``tied`` is as
    for `launch`. Raises `DiedAtStart` or another `MachineError` when QEMU does not come up, saying why, and the errors
    of `launch`; no process or socket is left then.
    """
    console.clear(console_log)  # a panic of an earlier boot explains nothing
    with await launch(spec, runtime, qemu=qemu, tied=tied) as child:
        async with AsyncExitStack() as stack:
            try:
                machine = await stack.enter_async_context(_attached(child, spec.name, runtime, console_log))
                if spec.memory is not None and spec.memory.state is not None:
                    await snapshot.load(machine.monitor, spec.name, spec.memory.state)
                await machine.resume()
            except MachineError as error:
                death = await _give_up(child, runtime, patience=_LAST_GASP)
                if death is None:
                    raise
                raise DiedAtStart(death, spec.name) from error
            except BaseException:
                await _give_up(child, runtime, patience=0)
                raise
            yield machine


async def _give_up(child: MachineProcess, runtime: Path, *, patience: float) -> Death | None:
    """End a machine that did not come up. How it died, if it did so by itself within ``patience`` seconds."""
    death = None
    with trio.CancelScope(shield=True):
        with trio.move_on_after(patience):
            death = await child.wait()
        if death is None:
            await child.kill()
    remove_runtime(runtime)
    return death


@asynccontextmanager
async def adopt(
    identity: Identity, name: str, *, runtime: Path, console_log: Path
) -> AsyncGenerator[Machine]:
    """The machine that an earlier core started, in whatever run state it is. It goes on when the context ends.

    Raises `MachineError` when its process is gone, is another by now, or does not answer; it is not touched then.
    """
    with adopt_process(identity, name) as child:
        async with _attached(child, name, runtime, console_log) as machine:
            yield machine


@asynccontextmanager
async def _attached(
    child: MachineProcess, name: str, runtime: Path, console_log: Path
) -> AsyncGenerator[Machine]:
    async with (
        console.recorded(runtime / Role.CONSOLE.value, console_log, name) as console_ended,
        qmp.connect(runtime / Role.QMP.value, name) as monitor,
    ):
        if await monitor.execute("query-uuid") != {"UUID": child.identity.uuid}:
            raise MachineError("another machine answers in this one's place", sandbox=name)
        yield Machine(child, monitor, runtime, console_log, console_ended)
