"""What a running machine is given: serial ports, on the device that has the agent's."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sandtop.core.errors import MachineError
from sandtop.core.machine.qemu.commandline import PORTS
from sandtop.core.machine.qemu.qmp import QmpRefused

if TYPE_CHECKING:
    from sandtop.core.machine.qemu.qmp import QmpClient


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
