"""Folders of the host in a sandbox: each start of its machine mounts them, and a core that comes back finds them there.

A folder has a server, a process of its own, and a serial port of the machine that the server is at the other end of.
Neither needs the core: both end with the machine.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.channel.older import too_old
from sandtop.core.errors import InvalidRequest, NotFound, StorageError
from sandtop.core.fuse import process
from sandtop.core.sessions import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandtop.core.channel import AgentLink
    from sandtop.core.machine import Driver, Machine
    from sandtop.core.store import MountRow, SandboxRow

MOST: Final = 8
"""Ports that a machine has room for."""
PLUG: Final = "port"
"""The kind of device that a driver can give a running machine (`Info.hot_plug`)."""
_MOUNT_SECONDS: Final = 45.0


async def mount_folder(
    link: AgentLink, vm: Machine, row: SandboxRow, mount: MountRow, nursery: trio.Nursery
) -> None:
    """Serve the folder that ``mount`` says, and have the agent mount it. The server's end is waited for in ``nursery``.

    Raises `StorageError` for what cannot be served or mounted, `MachineError`, `ChannelError`, `WrongState`.
    """
    if not link.folders:
        raise too_old(row.name, "cannot mount folders of the host")
    name = f"sandtop.folder.{row.config.mounts.index(mount)}"
    assert mount.source is not None
    try:
        server = await process.start(mount.source, row.name, row.config.memory, read_only=mount.read_only)
    except (NotFound, InvalidRequest) as error:  # it was there when `check_folders` looked
        raise StorageError(error.message, sandbox=row.name) from error
    with server:
        nursery.start_soon(server.process.wait, name=f"server of {mount.source}")
        await vm.add_port(name, server.link)
    request: dict[str, object] = {
        "type": "mount-folder", "target": mount.target, "port": name, "read_only": mount.read_only,
    }  # fmt: skip
    answer = await link.request(request, _MOUNT_SECONDS)
    said = answer.get("error")
    if said is not None:
        why = cast("Mapping[str, object]", said).get("message") if isinstance(said, dict) else said
        raise StorageError(
            f"{row.name} could not start: {mount.source} cannot be mounted at {mount.target}: {printable(str(why))}",
            sandbox=row.name,
        )


async def check_folders(mounts: Sequence[MountRow], sandbox: str, driver: Driver) -> None:
    """Raise `NotFound` or `InvalidRequest` for what could not be mounted in the sandbox of this name."""
    folders = [each.source for each in mounts if each.type == "bind" and each.source is not None]
    if len(folders) > MOST:
        raise InvalidRequest(
            f"mounts: {len(folders)} folders of the host are too many", hint=f"{MOST} at most"
        )

    def look() -> None:
        for folder in folders:
            os.close(process.open_folder(folder, sandbox))

    await trio.to_thread.run_sync(look)
    if folders and PLUG not in driver.info.hot_plug:
        raise InvalidRequest(
            f"the machines of {driver.info.name} cannot have folders of the host mounted", sandbox=sandbox
        )
