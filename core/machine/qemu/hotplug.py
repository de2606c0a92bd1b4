"""What a machine is given while it runs, disks and serial ports; and its own disk when it grows.

A disk goes into a PCIe root port, which a machine of a spec with ``slots`` has (QEMU's docs/pcie.txt, "Hot-plug"):
nothing can be plugged into the root bus itself. Its file is handed over as an open descriptor, as at the start.
A serial port goes on the device that has the agent's.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import MachineError, from_os_error
from sandtop.core.machine.qemu.qmp import QmpRefused

if TYPE_CHECKING:
    from sandtop.core.machine.qemu.qmp import QmpClient
    from sandtop.core.machine.records import Disk

PORTS: Final = "ports"
"""The device that serial ports are on: the agent's, and those that are plugged in."""
FIRST_SET: Final = 16
"""The first set of descriptors of a disk that is plugged in; lower ones are the start's, and a saved state's."""
DEADLINE: Final = 20.0
"""Seconds for a command, which waits for a busy host's disk where it opens or lengthens a file."""


def slot(number: int) -> str:
    """The id of the root port with this number."""
    return f"slot{number}"


async def plug(monitor: QmpClient, name: str, disk: Disk) -> None:
    """Open the file of ``disk`` and give it to the machine. Raises `MachineError`, `StorageError`."""
    flags = os.O_RDONLY if disk.read_only else os.O_RDWR
    try:
        descriptor = await trio.to_thread.run_sync(os.open, disk.file, flags | os.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(error, f"cannot open {disk.file}", sandbox=name) from error
    number = FIRST_SET + disk.slot
    try:
        await monitor.execute("add-fd", descriptor=descriptor, **{"fdset-id": number})
    finally:
        os.close(descriptor)
    writable = {"discard": "unmap", "detect-zeroes": "unmap"}  # as the sandbox's own disk has them
    how: dict[str, object] = {"read-only": True} if disk.read_only else dict(writable)
    opened = {"driver": "file", "node-name": f"{disk.serial}-file", "filename": f"/dev/fdset/{number}"}
    node = {"driver": "raw", "node-name": disk.serial, "file": {**opened, "aio": "threads", **how}, **how}
    await monitor.execute("blockdev-add", deadline=DEADLINE, descriptor=None, **node)
    device: dict[str, object] = {
        "driver": "virtio-blk-pci", "id": disk.serial, "drive": disk.serial, "serial": disk.serial,
        "bus": slot(disk.slot), "disable-legacy": "on", "romfile": "", "discard": not disk.read_only,
        "write-zeroes": not disk.read_only, "werror": "report" if disk.read_only else "stop", "rerror": "report",
    }  # fmt: skip
    await monitor.execute("device_add", deadline=DEADLINE, descriptor=None, **device)


async def lengthen(monitor: QmpClient, node: str, size: int) -> None:
    """Make the disk behind ``node`` so many bytes long, as its guest is told. Raises `MachineError`."""
    disk: dict[str, object] = {"node-name": node, "size": size}
    await monitor.execute("block_resize", deadline=DEADLINE, descriptor=None, **disk)


async def add_port(monitor: QmpClient, name: str, descriptor: int) -> None:
    """A port that the guest finds as ``name``, whose bytes go by the stream socket ``descriptor``; ours stays open.

    It is at its place when this returns, and the guest's kernel sees it soon. Raises `MachineError`.
    """
    await monitor.pass_descriptor(name, descriptor)
    address = {"type": "fd", "data": {"str": name}}
    backend = {"type": "socket", "data": {"addr": address, "server": False}}
    await monitor.execute("chardev-add", id=name, backend=backend)
    try:
        await monitor.execute(
            "device_add",
            driver="virtserialport",
            bus=f"{PORTS}.0",
            id=f"{name}-port",
            chardev=name,
            name=name,
        )
    except QmpRefused as error:
        with suppress(MachineError):
            await monitor.execute("chardev-remove", id=name)
        raise MachineError(
            f"QEMU gives the machine no other port: {error.message}",
            sandbox=monitor.name,
            hint="one that an older sandtop started has no room for them: restart it",
        ) from error
