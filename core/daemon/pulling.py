"""Container images for whoever wants to have one, or a sandbox of one: fetched where they are not here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import trio

from sandtop.core.errors import InvalidRequest
from sandtop.core.guest import Pull, Reference

if TYPE_CHECKING:
    from sandtop.core.daemon.dispatch import Core
    from sandtop.core.daemon.once import Work
    from sandtop.core.guest import Image


async def obtain(core: Core, name: str, docker_config: str | None, work: Work) -> Image | None:
    """The image called ``name``; one that is not here is pulled, where its name says that it is in a registry.

    A name such as ``alpine`` says nothing of the kind: a slip of the pen is to start no stranger's programs. None where
    there is no image of this name.
    """
    found = await trio.to_thread.run_sync(core.guest.find_image, name)
    if found is not None or not {":", "/", "@"} & {*name}:
        return found
    return await pull(core, name, docker_config, work)


async def pull(
    core: Core, name: str, docker_config: str | None, work: Work, *, insecure: bool = False
) -> Image:
    """Fetch the image called ``name``, where its registry has another than we. Raises as `GuestStore.pull_image`."""
    config = Path(docker_config) if docker_config is not None else None
    if config is not None and not config.is_absolute():
        raise InvalidRequest(f"{config} is not an absolute path")
    wanted = Pull(Reference.parse(name), config, insecure)

    def heard(line: str) -> None:
        trio.from_thread.run_sync(work.progress, line)

    return await trio.to_thread.run_sync(core.guest.pull_image, wanted, heard)
