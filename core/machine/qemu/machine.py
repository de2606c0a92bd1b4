"""One QEMU as the rest of the core sees it: its process, its monitor and its console together."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.channel.transport import UnixSocket
from sandtop.core.channel.vsock import Kernel, Vsock
from sandtop.core.errors import MachineError, StorageError
from sandtop.core.machine import console, procfs
from sandtop.core.machine.nursery import background
from sandtop.core.machine.qemu import diskerror, hotplug, qmp, snapshot
from sandtop.core.machine.qemu.commandline import Role, command_line
from sandtop.core.machine.qemu.descriptors import remove_runtime
from sandtop.core.machine.qemu.emulation import EMULATION, Emulation, translation_cache_mib
from sandtop.core.machine.qemu.heard import Heard
from sandtop.core.machine.qemu.process import Exit, MachineProcess, launch
from sandtop.core.machine.qemu.survivors import adopt as adopt_process
from sandtop.core.machine.records import Death, DiskError, Usage
from sandtop.core.machine.spec import Channel
from sandtop.core.machine.text import last_match

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from sandtop.core.channel.transport import Transport
    from sandtop.core.machine.records import Disk, Identity
    from sandtop.core.machine.spec import MachineSpec

QUIT_DEADLINE: Final = 5.0
"""Seconds for QEMU to flush its disks and exit when asked to."""

_FIRST_ANSWER: Final = 30.0
"""Seconds for a QEMU that was just started to answer: it sets its machine up first, and a busy host delays that."""

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
class QemuMachine:
    """A machine that runs, made by `start` or `adopt`: a `Machine` of the driver seam.

    Attributes:
        process: QEMU.
        monitor: QMP; its events are taken by ``heard``.
        runtime: the folder of its sockets.
        console_log: where the console is kept.
        restored: it goes on from a snapshot, rather than from a boot.
        heard: what QEMU told by itself.
        way: the way to its agent.
    """

    process: MachineProcess
    monitor: qmp.QmpClient
    runtime: Path
    console_log: Path
    restored: bool
    heard: Heard
    way: UnixSocket | Vsock
    _console_ended: trio.Event

    @property
    def identity(self) -> Identity:
        """What `adopt` takes to find this machine again."""
        return self.process.identity

    @property
    def disk_errors(self) -> trio.MemoryReceiveChannel[DiskError]:
        """What the host refuses of its disk; ends with the machine."""
        return self.heard.disk_errors

    @property
    def name(self) -> str:
        """The sandbox's, for errors."""
        return self.process.name

    def rename(self, name: str) -> None:
        """From now on it is another sandbox's machine."""
        self.process.name = self.monitor.name = name

    def agent(self) -> Transport:
        """Its vsock, where it has that, else its virtio-serial port."""
        return self.way

    async def ready(self) -> None:
        """Return when the guest has opened the agent's port. For a machine that this core started.

        Raises `MachineError` if QEMU ends before, `StorageError` as soon as the host refuses what it writes.
        """
        answer = await self.heard.until_ready()
        if isinstance(answer, DiskError):
            raise StorageError(f"the host refused what the machine wrote: {answer.reason}", sandbox=self.name)
        if not answer:
            raise MachineError((await self.exited()).reason, sandbox=self.name)

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

    async def paused(self) -> bool:
        """Whether somebody stopped its processors. Raises `MachineError`."""
        return await self.status() == "paused"

    async def disk_error(self) -> DiskError | None:
        """What the disk refused of a machine that stands still by it (``io-error``). Raises `MachineError`."""
        if await self.status() != "io-error":
            return None
        answer = await self.monitor.execute("query-block")
        return diskerror.found(answer) or DiskError("the disk failed", stopped=True)

    async def save(self, state: Path) -> None:
        """Stop the processors for good and save what the machine is now; see `snapshot.save`."""
        await snapshot.save(self.monitor, self.name, state)

    async def plug(self, disk: Disk) -> None:
        """Give it a disk; see `hotplug.plug`."""
        await hotplug.plug(self.monitor, self.name, disk)

    async def lengthen(self, size: int) -> None:
        """Make its own disk longer; see `hotplug.lengthen`."""
        await hotplug.lengthen(self.monitor, Role.OVERLAY.value, size)

    async def wait(self) -> Death:
        """Wait, as long as it takes, for QEMU to end; the console log is complete then."""
        end = await self.exited()
        return Death(end.reason, end.orderly)

    async def exited(self) -> Exit:
        """As `wait`, with what the process, the monitor and the guest's console tell of the end."""
        end = await self.process.wait()
        with trio.move_on_after(_DRAIN):
            await self.monitor.ended.wait()
            await self._console_ended.wait()
        return self._explained(end)

    async def stop(self, deadline: float = QUIT_DEADLINE) -> Death:
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

    def _explained(self, end: Exit) -> Exit:
        """``end`` with what the monitor and the console tell of it."""
        shutdown = self.monitor.shutdown
        cause = _CAUSES.get(shutdown or "")
        if end.status != 0 or cause is None:
            return end
        if shutdown == "guest-reset":
            panic = last_match(self.console_tail(_PANIC_LINES), "Kernel panic")
            cause = f"the guest's kernel gave up: {panic}" if panic else cause
        return replace(end, cause=cause, orderly=shutdown in _ORDERLY)

    async def add_port(self, name: str, end: socket.socket) -> None:
        """See `hotplug.add_port`."""
        await hotplug.add_port(self.monitor, name, end.fileno())

    def console_tail(self, lines: int = 20) -> str:
        """The last lines that the guest printed, fit for a terminal."""
        return console.tail(self.console_log, lines)

    def _channel(self, spec: MachineSpec) -> tuple[Channel, str]:
        """What carries the agent's bytes, and why."""
        if isinstance(self.way, Vsock):
            if self.way.refused is not None:
                return Channel.VIRTIO_SERIAL, self.way.refused
            return Channel.VSOCK, spec.channel_reason or "an earlier core started the machine with vsock"
        reason = spec.channel_reason or "an earlier core started the machine without vsock"
        return Channel.VIRTIO_SERIAL, reason

    def usage(self) -> Usage | None:
        """What QEMU takes, all its threads together; None once it has ended."""
        found = procfs.usage(self.identity.pid, self.identity.start_time)
        return None if found is None else Usage(*found)

    def facts(self, spec: MachineSpec) -> dict[str, object]:
        """The spec, and QEMU's command line as data: as it really is, with the descriptors that were computed."""
        command = command_line(spec, self.runtime).to_json()
        channel, reason = self._channel(spec)
        return {
            "spec": {
                **spec.to_json(),
                "transport": channel.value,
                "transport_reason": reason,
                "cid": self.identity.cid,
                "tb_size_mib": translation_cache_mib(self.process.arguments),
            },
            **command,
            "argv": self.process.arguments or command["argv"],
        }


def _way(identity: Identity, runtime: Path, *, insist: bool) -> UnixSocket | Vsock:
    """The way to a machine's agent; with ``insist`` no other than vsock where the machine has that."""
    port = UnixSocket(runtime / Role.AGENT.value)
    if identity.cid is None:
        return port
    return Vsock(Kernel(identity.cid), port, fall_back=not insist)


class DiedAtStart(MachineError):
    """QEMU ended before its machine ran.

    Attributes:
        exit: how.
    """

    def __init__(self, end: Exit, name: str) -> None:
        super().__init__(end.reason, sandbox=name)
        self.exit = end


@asynccontextmanager
async def start(
    spec: MachineSpec,
    *,
    runtime: Path,
    console_log: Path,
    qemu: Path,
    emulation: Emulation = EMULATION,
    tied: int | None = None,
    insist: bool = False,
) -> AsyncGenerator[QemuMachine]:
    """Launch the machine of ``spec``, have it load its state if it has one, and let its processors run.

    It goes on when the context ends, unless it was stopped or killed. ``runtime`` becomes the folder of its sockets:
    `remove_runtime` it when the machine has ended. ``console_log`` begins anew. ``tied`` is as for `launch`. With
    ``insist`` its agent is reached over the channel of ``spec`` or not at all. Raises `DiedAtStart` or another
    `MachineError` when QEMU does not come up, saying why, and the errors of `launch`; nothing is left then.
    """
    console.clear(console_log)  # a panic of an earlier boot explains nothing
    with await launch(spec, runtime, qemu=qemu, emulation=emulation, tied=tied) as child:
        async with AsyncExitStack() as stack:
            try:
                machine = await stack.enter_async_context(
                    _attached(
                        child,
                        spec.name,
                        runtime,
                        console_log,
                        restored=spec.restored,
                        insist=insist,
                        patience=_FIRST_ANSWER,
                    )
                )
                if spec.memory is not None and spec.memory.state is not None:
                    await snapshot.load(machine.monitor, spec.name, spec.memory.state)
                await machine.resume()
            except MachineError as error:
                end = await _give_up(child, runtime, patience=_LAST_GASP)
                if end is None:
                    raise
                raise DiedAtStart(end, spec.name) from error
            except BaseException:
                await _give_up(child, runtime, patience=0)
                raise
            yield machine


async def _give_up(child: MachineProcess, runtime: Path, *, patience: float) -> Exit | None:
    """End a machine that did not come up. How it ended, if it did so by itself within ``patience`` seconds."""
    end = None
    with trio.CancelScope(shield=True):
        with trio.move_on_after(patience):
            end = await child.wait()
        if end is None:
            await child.kill()
    remove_runtime(runtime)
    return end


@asynccontextmanager
async def adopt(
    identity: Identity, name: str, *, runtime: Path, console_log: Path, insist: bool = False
) -> AsyncGenerator[QemuMachine]:
    """The machine that an earlier core started, in whatever run state it is. It goes on when the context ends.

    ``insist`` is as for `start`.
    Raises `MachineError` when its process is gone, is another by now, or does not answer; it is not touched then.
    """
    with adopt_process(identity, name) as child:
        restored = "-incoming" in child.arguments
        opener = _attached(child, name, runtime, console_log, restored=restored, insist=insist)
        async with opener as machine:
            yield machine


@asynccontextmanager
async def _attached(
    child: MachineProcess,
    name: str,
    runtime: Path,
    console_log: Path,
    *,
    restored: bool,
    insist: bool,
    patience: float = qmp.DEADLINE,
) -> AsyncGenerator[QemuMachine]:
    heard = Heard()
    async with (
        console.recorded(runtime / Role.CONSOLE.value, console_log, name) as console_ended,
        qmp.connect(runtime / Role.QMP.value, name, deadline=patience) as monitor,
        background(partial(heard.listen, monitor.events)),
    ):
        if await monitor.execute("query-uuid") != {"UUID": child.identity.uuid}:
            raise MachineError("another machine answers in this one's place", sandbox=name)
        way = _way(child.identity, runtime, insist=insist)
        yield QemuMachine(child, monitor, runtime, console_log, restored, heard, way, console_ended)
