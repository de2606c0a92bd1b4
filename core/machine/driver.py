"""The driver seam: what the core asks of whatever runs its machines. The records that go through it are in `records`.

A driver starts virtual machines and finds them again; a `Machine` is one of them. Each driver is a package beside this
module, and nothing outside that package knows a program, an argument, a descriptor or an event of the driver's own.
What differs between drivers is said by their `Info`, and whoever needs a capability asks for it there.

    driver = driver_for(paths)                      # core.machine.registry: the one place that names a driver
    version = await driver.find()
    choice = await driver.choose_accelerator(trial, progress)
    async with driver.start(spec, runtime=…, console_log=…) as machine:        # leaving leaves it running
        keep(machine.identity)
        link = AgentLink(machine.agent(), …)
        …
        death = await machine.stop()
    driver.remove_runtime(…)
    async with driver.adopt(identity, name, runtime=…, console_log=…) as machine:       # a later core
        …
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import trio

    from sandtop.core.channel.transport import Transport
    from sandtop.core.findings import Finding
    from sandtop.core.machine.records import (
        ChannelChoice,
        Choice,
        Death,
        Disk,
        DiskError,
        GuestNetwork,
        Identity,
        Info,
        Running,
        Trial,
        Usage,
        Version,
    )
    from sandtop.core.machine.spec import Accelerator, MachineSpec, Network


class Machine(Protocol):
    """A machine that runs, made by `Driver.start` or `Driver.adopt`. Methods that ask it raise `MachineError`."""

    @property
    def identity(self) -> Identity:
        """What to keep, so that a later core finds it again."""
        ...

    @property
    def restored(self) -> bool:
        """Whether it went on from a snapshot, rather than booted; known of an adopted one, too."""
        ...

    @property
    def disk_errors(self) -> trio.MemoryReceiveChannel[DiskError]:
        """What the host refuses from now on, oldest first; ends with the machine. A bounded queue: some may be lost."""
        ...

    def agent(self) -> Transport:
        """The way to its agent."""
        ...

    def rename(self, name: str) -> None:
        """From now on it is the machine of the sandbox ``name``, in errors."""
        ...

    async def ready(self) -> None:
        """Return when its guest's agent is ready to be spoken to, although nobody has opened the way to it yet.

        For a machine that this core started and that is to be saved. Raises `MachineError` if it ends before,
        `StorageError` as soon as the host refuses what it writes.
        """
        ...

    async def pause(self) -> None:
        """Stop its processors. Returns when what the guest has written is on the host's disk."""
        ...

    async def resume(self) -> None:
        """Let its processors run: the first time, after `pause`, or after a write that the host refused."""
        ...

    async def paused(self) -> bool:
        """Whether its processors stand still by `pause`, not by a disk."""
        ...

    async def disk_error(self) -> DiskError | None:
        """The refusal that it stands still by; None when there is none."""
        ...

    async def save(self, state: Path) -> None:
        """Stop its processors for good, and save what it is now; for one that was started with a memory file.

        Its memory is in that file afterwards, the rest in the new file ``state``; its disks are whole on the host.
        Raises `StorageError`, too.
        """
        ...

    async def plug(self, disk: Disk) -> None:
        """Give it ``disk``, which its guest sees soon; where ``disk`` is in the driver's `Info.hot_plug`.

        Raises `StorageError`, too, when the file cannot be opened, or another machine writes to it.
        """
        ...

    async def lengthen(self, size: int) -> None:
        """Make its own disk (the spec's ``overlay``) so many bytes long; its guest sees that soon."""
        ...

    async def wait(self) -> Death:
        """Wait, as long as it takes, for its end; the console log is complete then. Many may wait."""
        ...

    async def stop(self) -> Death:
        """End it now, in order: what the guest has written reaches the host's files. The guest is not asked.

        It is killed when that takes more than a few seconds.
        """
        ...

    async def kill(self) -> Death:
        """End it at once, and see that it is gone."""
        ...

    async def add_port(self, name: str, end: socket.socket) -> None:
        """Give it another serial port, which its guest finds as ``name``; ``end`` is what the bytes come and go by.

        ``end`` stays open here and may be closed. Where the driver can plug in a ``port`` (`Info.hot_plug`).
        """
        ...

    def console_tail(self, lines: int = 20) -> str:
        """The last lines that its guest printed, fit for a terminal; empty when there are none."""
        ...

    def usage(self) -> Usage | None:
        """What it takes of the host; None once it has ended. Blocks for a moment, and may be called from a thread."""
        ...

    def facts(self, spec: MachineSpec) -> dict[str, object]:
        """What ``inspect`` shows of it, as JSON types: its ``spec``, and how the driver runs it."""
        ...


class Driver(Protocol):
    """Runs machines. One for each core, made by `core.machine.registry`; it holds no machine itself."""

    @property
    def info(self) -> Info:
        """What it can do."""
        ...

    async def find(self) -> Version:
        """The program that it needs, looked at again only when it has changed. Raises `MissingDependency`."""
        ...

    async def choose_accelerator(
        self,
        trial: Trial,
        progress: Callable[[str], None],
        *,
        wanted: Accelerator | None = None,
        again: bool = False,
    ) -> Choice:
        """The accelerator for machines: the one ``wanted``, as it is, or the best that works on this host.

        What works may be tried by booting ``trial``, which takes seconds and of which ``progress`` is told; the answer
        is kept. With ``again`` a kept "no" is not believed. Raises `MissingDependency`, `StorageError`.
        """
        ...

    def choose_channel(self) -> ChannelChoice:
        """The channel for machines: the one that this driver was made for, or the best that works here. Blocks.

        Raises `MachineError` where the one that it was made for cannot be had.
        """
        ...

    def start(
        self, spec: MachineSpec, *, runtime: Path, console_log: Path
    ) -> AbstractAsyncContextManager[Machine]:
        """The machine of ``spec``, launched, or going on from the state that the spec names; its processors run.

        It goes on when the context ends, unless it was stopped. ``runtime`` becomes the folder of its sockets:
        `remove_runtime` it when the machine has ended. ``console_log`` begins anew. Entering raises `MachineError`,
        `MissingDependency` or `StorageError` when it does not come up, saying why; nothing of it is left then.
        """
        ...

    def adopt(
        self, identity: Identity, name: str, *, runtime: Path, console_log: Path
    ) -> AbstractAsyncContextManager[Machine]:
        """The machine that an earlier core started, in whatever state it is. It goes on when the context ends.

        ``name`` is the sandbox's, for errors. Entering raises `MachineError` when it is gone, is another by now, or
        does not answer; it is not touched then.
        """
        ...

    def lives(self, identity: Identity) -> bool:
        """Whether the machine of an earlier core runs, whether or not it answers."""
        ...

    async def end(self, identity: Identity, name: str) -> bool:
        """Kill the machine of an earlier core, also one that does not answer. False when it was gone already.

        Raises `MachineError` when it does not end.
        """
        ...

    def end_all(self, which: Callable[[Running], bool]) -> list[Running]:
        """Kill those of this driver's machines on this host that ``which`` picks; they are returned.

        Blocks until they are gone, or for some seconds where the host's kernel holds one.
        """
        ...

    def remove_runtime(self, runtime: Path) -> None:
        """Remove what a machine that has ended left in the folder of its sockets, and the folder. Blocks.

        Raises `StorageError`.
        """
        ...

    def fingerprint(self, spec: MachineSpec) -> tuple[str, ...]:
        """What a snapshot of ``spec`` depends on beside `Version.stamp` and the spec's files: devices, processors …

        The same for all sandboxes of one shape: neither uuid and name nor the paths of disks are in it. Blocks.
        """
        ...

    def guest_network(self, network: Network) -> GuestNetwork | None:
        """The addresses that a guest with this kind of network has; None where it has none."""
        ...

    # doctor

    def examine(self) -> Iterator[Finding]:
        """What it needs of this host, and whether it is there. Blocks."""
        ...

    def examine_accelerator(self, trial: Trial | None, asked: str, settings: Path) -> Finding:
        """What would execute guests here. Blocks, for as long as trying it out takes.

        ``trial`` is None where it is not built yet. ``asked`` is what the file ``settings`` asks for, or ``auto``.
        """
        ...

    def examine_channel(self) -> Finding:
        """What carries the agent's bytes here. Blocks."""
        ...
