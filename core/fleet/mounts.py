"""What is mounted in a sandbox: checked when it is made, and mounted whenever its machine has started.

A volume's disk is plugged into the machine when that runs, so machines with volumes go on from the same template,
whatever is in them. Then a program of the agent's mounts all in the guest, before anything else runs there.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import AlreadyExists, InvalidRequest, StorageError, WrongState
from sandtop.core.files import FileFailed
from sandtop.core.fleet.folders import mount_folder
from sandtop.core.fleet.room import MIB, mib
from sandtop.core.fleet.state import ALIVE, State
from sandtop.core.guest.volumes import check_name
from sandtop.core.machine import Disk
from sandtop.core.sessions import printable
from sandtop.core.store import MountRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from sandtop.core.channel import AgentLink
    from sandtop.core.contract.mount import Mount
    from sandtop.core.files import FileServers
    from sandtop.core.fleet.context import Context
    from sandtop.core.machine import Machine
    from sandtop.core.store import SandboxConfig, SandboxRow

    from .sandbox import Sandbox

MOST: Final = 32
"""Mounts of one sandbox."""
SLOTS: Final = (4, 16)
"""How many disks a machine with volumes has room for: two shapes, and so two templates, for whatever is mounted."""
_KINDS: Final = frozenset({"bind", "tmpfs", "volume"})
"""What this core can mount."""


# when it is made


def checked(mounts: Sequence[Mount], memory: int) -> tuple[MountRow, ...]:
    """What is kept of ``mounts``, in the order in which they are mounted: what is below another comes after it.

    ``memory`` is that of the sandbox, in MiB. Raises `InvalidRequest`.
    """
    if len(mounts) > MOST:
        raise InvalidRequest(f"mounts: {len(mounts)} of them are too many", hint=f"{MOST} at most")
    rows: dict[str, MountRow] = {}
    for mount in mounts:
        row = _checked(mount, memory)
        if row.target in rows:
            raise InvalidRequest(
                f"mounts: two of them are at {row.target}", hint="give each a place of its own"
            )
        rows[row.target] = row
    volumes = [row.source for row in rows.values() if row.type == "volume"]
    if twice := {name for name in volumes if volumes.count(name) > 1}:
        raise InvalidRequest(f"mounts: the volume {min(map(str, twice))} is mounted twice")
    if len(volumes) > SLOTS[-1]:
        raise InvalidRequest(f"mounts: {len(volumes)} volumes are too many", hint=f"{SLOTS[-1]} at most")
    return tuple(sorted(rows.values(), key=lambda row: row.target.count("/")))


def _checked(mount: Mount, memory: int) -> MountRow:
    target = "/" + posixpath.normpath(mount.target).lstrip("/")
    about = f"the mount at {target}"
    if mount.type not in _KINDS:
        raise InvalidRequest(f"{about}: this core cannot mount a {mount.type}")
    if (mount.source is None) is not (mount.type == "tmpfs"):
        words = "a tmpfs has no source" if mount.type == "tmpfs" else f"a {mount.type} has a source"
        raise InvalidRequest(f"{about}: {words}")
    if mount.type != "tmpfs" and (mount.size is not None or mount.mode is not None):
        raise InvalidRequest(f"{about}: a size and a mode are a tmpfs's alone")
    if mount.type == "bind" and not (mount.source or "").startswith("/"):
        raise InvalidRequest(f"{about}: {mount.source!r:.60} is no absolute path of the host")
    if mount.type == "volume":
        check_name(mount.source or "")
    if mount.size is not None and mount.size > memory * MIB:
        raise InvalidRequest(
            f"{about}: {mib(mount.size)} are more than the sandbox's memory, {memory} MiB",
            hint="give it more memory, or mount a volume",
        )
    return MountRow(mount.type, target, mount.source, mount.read_only, mount.size, mount.mode)


def volumes_of(config: SandboxConfig) -> dict[str, MountRow]:
    """The volumes that are mounted in a sandbox, by name."""
    return {row.source: row for row in config.mounts if row.type == "volume" and row.source is not None}


def written(config: SandboxConfig, context: Context) -> list[Path]:
    """The files of those volumes that a sandbox may write to."""
    volumes = context.guest.volumes
    return [volumes.disk(name) for name, row in volumes_of(config).items() if not row.read_only]


def slots(config: SandboxConfig) -> int:
    """How many disks the sandbox's machine has room for: one of few numbers, as each needs templates of its own."""
    count = len(volumes_of(config))
    return next(each for each in (0, *SLOTS) if each >= count)


async def make_volumes(context: Context, row: SandboxRow, progress: Callable[[str], None]) -> None:
    """Make those of a new sandbox's volumes that there are not yet. Raises `StorageError` …"""

    def tell(line: str) -> None:
        trio.from_thread.run_sync(progress, line)

    def make() -> None:
        volumes = context.guest.volumes
        names = {volume.name for volume in volumes.all()}
        for name in volumes_of(row.config).keys() - names:
            with suppress(AlreadyExists):  # another sandbox that is made at this moment has made it, too
                volumes.create(name, row.config.disk * MIB, tell)

    await trio.to_thread.run_sync(make)


@dataclass(frozen=True, slots=True)
class Use:
    """A sandbox that mounts a volume: its name, whether it only reads the volume, and whether it runs."""

    sandbox: str
    read_only: bool
    runs: bool


def uses_of(volume: str, sandboxes: Iterable[Sandbox]) -> list[Use]:
    """Which of ``sandboxes`` mount ``volume``."""
    return [
        Use(sandbox.name, mount.read_only, _runs(sandbox))
        for sandbox in sandboxes
        if (mount := volumes_of(sandbox.row.config).get(volume)) is not None
    ]


def _runs(sandbox: Sandbox) -> bool:
    """Whether it may have a machine."""
    return sandbox.state in ALIVE or (sandbox.machine is not None and sandbox.state is not State.CREATING)


# when it starts


def check_volumes(row: SandboxRow, others: Iterable[Sandbox]) -> None:
    """A volume is written by one machine at a time, and read by others only while nobody writes.

    Raises `WrongState`, which names the sandbox that has it.
    """
    wanted = volumes_of(row.config)
    running = [other for other in others if other.name != row.name and _runs(other)] if wanted else []
    for name, mount in wanted.items():
        for use in uses_of(name, running):
            if not (use.read_only and mount.read_only):
                does = "is read" if use.read_only else "is written"
                raise WrongState(
                    f"cannot start {row.name}: the volume {name} {does} by {use.sandbox}",
                    sandbox=row.name,
                    hint=f"it has one writer, or readers alone (ro); stop the other: sandtop stop {use.sandbox}",
                )


async def mount_all(
    row: SandboxRow, context: Context, link: AgentLink, vm: Machine, files: FileServers
) -> None:
    """Mount all that belongs in the machine of ``row``, which has started. Raises `StorageError`, `ChannelError` …"""
    if not row.config.mounts:
        return
    serials = await _plug(row, context, vm)
    try:
        for mount in row.config.mounts:
            if mount.type == "bind":
                await mount_folder(link, vm, row, mount, context.nursery)
            else:
                await _mount(row.name, mount, serials, files)
    finally:
        files.end_mounting()


async def _plug(row: SandboxRow, context: Context, vm: Machine) -> dict[str, str]:
    """Give the machine the disks of its volumes; the serial of each, by the volume's name."""
    serials: dict[str, str] = {}
    for number, (name, mount) in enumerate(volumes_of(row.config).items()):
        volume = await trio.to_thread.run_sync(context.guest.volumes.get, name)
        serials[name] = f"volume{number}"
        await vm.plug(Disk(serial=serials[name], file=volume.disk, read_only=mount.read_only, slot=number))
    return serials


async def _mount(name: str, mount: MountRow, serials: Mapping[str, str], files: FileServers) -> None:
    fields: dict[str, object] = {"target": mount.target, "read_only": mount.read_only}
    if mount.type == "tmpfs":
        fields |= {"kind": "tmpfs", "size": mount.size, "mode": mount.mode}
    else:
        fields |= {"kind": "disk", "serial": serials[mount.source or ""]}
    try:
        async with files.call("mount", fields, "root", kind="mounts") as call:
            await call.answer()
    except FileFailed as failure:
        what = f"the volume {mount.source}" if mount.type == "volume" else f"a {mount.type}"
        raise StorageError(
            f"{name} could not start: {what} cannot be mounted at {mount.target}: {printable(failure.why)}",
            sandbox=name,
        ) from failure
