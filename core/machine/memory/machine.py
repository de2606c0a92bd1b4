"""One core's hold on a machine in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import ChannelError, MachineError, StorageError, from_os_error
from sandtop.core.machine import console
from sandtop.core.machine.records import Identity

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from sandtop.core.channel.transport import Transport
    from sandtop.core.machine.memory.faults import Step
    from sandtop.core.machine.memory.guest import Guest
    from sandtop.core.machine.memory.world import World
    from sandtop.core.machine.records import Death, Disk, DiskError, Usage
    from sandtop.core.machine.spec import MachineSpec

ANSWER_SECONDS: Final = 10.0
"""How long a core waits for a machine that does not answer."""
STOP_SECONDS: Final = 5.0
"""How long a machine may take to end in order before it is killed."""


class MemoryMachine:
    """See `sandtop.core.machine.driver.Machine`. ``cut_off`` says whether the core that holds it is dead."""

    def __init__(
        self, world: World, guest: Guest, name: str, console_log: Path, cut_off: Callable[[], bool]
    ) -> None:
        self._world = world
        self._guest = guest
        self._name = name
        self._console_log = console_log
        self._cut_off = cut_off
        self._disk_errors = guest.listen()

    @property
    def identity(self) -> Identity:
        guest = self._guest
        return Identity(guest.uuid, guest.pid, guest.start_time, self._world.boot_id, guest.cid)

    @property
    def restored(self) -> bool:
        return self._guest.restored

    @property
    def disk_errors(self) -> trio.MemoryReceiveChannel[DiskError]:
        return self._disk_errors

    def agent(self) -> Transport:
        return _Port(self._guest)

    def rename(self, name: str) -> None:
        self._name = name

    async def ready(self) -> None:
        guest = self._guest
        async with trio.open_nursery() as nursery:

            async def until(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until, guest.up)
            nursery.start_soon(until, guest.ended)
            async for error in self._disk_errors:
                if error.stopped:
                    raise StorageError(
                        f"the host refused what the machine wrote: {error.reason}", sandbox=self._name
                    )
        if guest.death is not None:
            raise MachineError(guest.death.reason, sandbox=self._name)

    async def pause(self) -> None:
        await self._ask("pause")
        self._guest.pause()

    async def resume(self) -> None:
        await self._ask("resume")
        self._guest.resume()

    async def paused(self) -> bool:
        await self._ask("status")
        return self._guest.processors == "paused"

    async def disk_error(self) -> DiskError | None:
        await self._ask("status")
        return self._guest.refused if self._guest.processors == "refused" else None

    async def save(self, state: Path) -> None:
        await self._ask("save")
        self._guest.save(state)

    async def plug(self, disk: Disk) -> None:
        await self._ask("plug")
        plugged = self._guest.agent.disks.sizes
        try:
            with disk.file.open("rb" if disk.read_only else "r+b") as file:
                size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise from_os_error(error, f"cannot open {disk.file}", sandbox=self._name) from error
        if len(plugged) > self._guest.spec.slots:  # its own disk is among them
            raise MachineError(f"there is no free slot {disk.slot}", sandbox=self._name)
        plugged[disk.serial] = size

    async def lengthen(self, size: int) -> None:
        await self._ask("lengthen")
        os.truncate(self._guest.spec.overlay, size)
        self._guest.agent.disks.sizes["overlay"] = size

    async def wait(self) -> Death:
        await self._guest.ended.wait()
        assert self._guest.death is not None
        return self._guest.death

    async def stop(self) -> Death:
        with trio.move_on_after(STOP_SECONDS):
            try:
                await self._ask("stop")
            except MachineError:
                self._check_core()
                return await self.kill()
            return self._guest.end("sandtop stopped it", orderly=True)
        return await self.kill()

    async def kill(self) -> Death:
        self._check_core()
        await self._world.faults.meet("kill")
        self._check_core()
        return self._guest.end("the machine was killed")

    async def add_port(self, name: str, end: socket.socket) -> None:
        raise MachineError("the machines of memory have no other ports", sandbox=self._name)

    def console_tail(self, lines: int = 20) -> str:
        return console.tail(self._console_log, lines)

    def usage(self) -> Usage | None:
        return self._guest.usage if self._guest.death is None else None

    def facts(self, spec: MachineSpec) -> dict[str, object]:
        return {"spec": spec.to_json(), "driver": "memory", "pid": self._guest.pid}

    # inside

    async def _ask(self, step: Step) -> None:
        """What every question to a machine goes through. Raises `MachineError`."""
        self._check_core()
        fault = await self._world.faults.meet(step)
        if not self._guest.answers:
            await trio.sleep(ANSWER_SECONDS)
            raise MachineError(f"the machine did not answer '{step}'", sandbox=self._name)
        self._check_core()
        if fault is not None and fault.dies:
            self._guest.end(fault.dies)
        if self._guest.death is not None:
            raise MachineError("the machine is gone", sandbox=self._name)

    def _check_core(self) -> None:
        if self._cut_off():
            raise MachineError("the core that asks is dead", sandbox=self._name)


class _Port:
    """The way to a guest's agent; see `sandtop.core.channel.Transport`."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    async def open(self, token: str) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self._guest.death is not None:
            raise ChannelError("the machine's channel cannot be opened: it is gone")
        return self._guest.agent.connect()
