"""The operations on volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from sandtop.core.contract.record import Nothing
from sandtop.core.contract.volume import (
    VolumeAnswer,
    VolumeCreate,
    VolumeInfo,
    VolumeInspect,
    VolumeList,
    VolumePrune,
    VolumeRemove,
    Volumes,
    VolumesPruned,
)
from sandtop.core.daemon.dispatch import answers, makes
from sandtop.core.daemon.sandbox_ops import DEFAULT
from sandtop.core.errors import AlreadyExists, NotFound, WrongState
from sandtop.core.fleet.mounts import uses_of

if TYPE_CHECKING:
    from sandtop.core.daemon.dispatch import Core
    from sandtop.core.daemon.once import Work
    from sandtop.core.guest import Volume

_MIB = 1 << 20


def _view(core: Core, volume: Volume) -> VolumeInfo:
    uses = uses_of(volume.name, core.fleet.all())
    return VolumeInfo(
        name=volume.name,
        size=volume.size,
        used=volume.used,
        created_at=volume.created_at,
        sandboxes=[use.sandbox for use in uses],
        writer=next((use.sandbox for use in uses if use.runs and not use.read_only), None),
    )


@makes(VolumeCreate)
async def create(core: Core, request: VolumeCreate, work: Work) -> VolumeAnswer:
    volumes, size = core.guest.volumes, (request.size or DEFAULT.disk) * _MIB

    def tell(line: str) -> None:
        trio.from_thread.run_sync(work.progress, line)

    def make() -> Volume:
        try:
            return volumes.create(request.name, size, tell)
        except AlreadyExists:
            volume = volumes.get(request.name)
            if request.size is not None and volume.size != size:
                raise
            return volume

    return VolumeAnswer(volume=_view(core, await trio.to_thread.run_sync(make)))


@answers(VolumeList)
async def list_volumes(core: Core, request: VolumeList) -> Volumes:
    found = await trio.to_thread.run_sync(core.guest.volumes.all)
    return Volumes(volumes=[_view(core, volume) for volume in found])


@answers(VolumeInspect)
async def inspect(core: Core, request: VolumeInspect) -> VolumeAnswer:
    volume = await trio.to_thread.run_sync(core.guest.volumes.get, request.name)
    return VolumeAnswer(volume=_view(core, volume))


@makes(VolumeRemove)
async def remove(core: Core, request: VolumeRemove, work: Work) -> Nothing:
    try:
        await trio.to_thread.run_sync(core.guest.volumes.get, request.name)
        _check_unused(core, request.name)  # a sandbox that is made at this moment finds it gone, and says so
        await trio.to_thread.run_sync(core.guest.volumes.remove, request.name)
    except NotFound:
        if not work.repeated:
            raise
    return Nothing()


def _check_unused(core: Core, name: str) -> None:
    uses = uses_of(name, core.fleet.all())
    if uses:
        sandboxes = ", ".join(use.sandbox for use in uses)
        raise WrongState(f"the volume {name} is mounted by {sandboxes}", hint=f"sandtop rm {uses[0].sandbox}")


@makes(VolumePrune)
async def prune(core: Core, request: VolumePrune, work: Work) -> VolumesPruned:
    gone, freed = list[str](), 0
    for volume in await trio.to_thread.run_sync(core.guest.volumes.all):
        if not uses_of(volume.name, core.fleet.all()):
            freed += await trio.to_thread.run_sync(core.guest.volumes.remove, volume.name)
            gone.append(volume.name)
    return VolumesPruned(volumes=gone, freed=freed)
