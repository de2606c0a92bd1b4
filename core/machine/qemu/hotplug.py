"""Disks that a machine is given while it runs, and its own disk when it grows.

A disk goes into a PCIe root port, which a machine of a spec with ``slots`` has (QEMU's docs/pcie.txt, "Hot-plug"):
nothing can be plugged into the root bus itself. Its file is handed over as an open descriptor, as at the start.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import from_os_error

if TYPE_CHECKING:
    from sandtop.core.machine.driver import Disk
    from sandtop.core.machine.qemu.qmp import QmpClient

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
