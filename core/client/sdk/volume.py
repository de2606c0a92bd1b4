"""Volumes: disks with a name that outlive the sandboxes which mount them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.client.link.asynchronous import call
from sandtop.core.contract.volume import VolumeCreate, VolumeInspect, VolumeList, VolumePrune, VolumeRemove

if TYPE_CHECKING:
    from sandtop.core.contract.volume import VolumeInfo, VolumesPruned


async def volumes() -> list[VolumeInfo]:
    """All volumes, by name."""
    return (await call(VolumeList())).volumes


async def create_volume(name: str, *, size: int | None = None) -> VolumeInfo:
    """Make the volume ``name``, of ``size`` MiB (8 GiB when None), where there is none of that name.

    Raises `AlreadyExists` for one of another size, `InvalidRequest`.
    """
    return (await call(VolumeCreate(name=name, size=size))).volume


async def inspect_volume(name: str) -> VolumeInfo:
    """All about the volume ``name``. Raises `NotFound`."""
    return (await call(VolumeInspect(name=name))).volume


async def remove_volume(name: str) -> None:
    """Remove the volume ``name`` with all that is in it. Raises `NotFound`, and `WrongState` while a sandbox has it."""
    await call(VolumeRemove(name=name))


async def prune_volumes() -> VolumesPruned:
    """Remove all volumes that no sandbox mounts, with all that is in them."""
    return await call(VolumePrune())
