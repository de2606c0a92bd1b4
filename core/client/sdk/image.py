"""The images that sandboxes start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.client.link.asynchronous import call
from sandtop.core.client.link.values import image_source
from sandtop.core.contract.image import ImageBuild, ImageList, ImageRemove, ImageWarm

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Literal

    from sandtop.core.contract.image import ImageInfo


async def images() -> list[ImageInfo]:
    """The images that sandboxes can start from."""
    return (await call(ImageList())).images


async def build_image(
    name: str, source: str | os.PathLike[str], progress: Callable[[str], None] | None = None
) -> ImageInfo:
    """Make the image ``name`` of a directory or a tar file. Raises `ImageError`, `InvalidRequest`."""
    return (await call(ImageBuild(name=name, source=image_source(source)), progress)).image


async def warm_image(
    name: str | None = None,
    *,
    cpus: int | None = None,
    memory: int | None = None,
    disk: int | None = None,
    network: Literal["none", "user"] | None = None,
    accelerator: Literal["kvm", "tcg"] | None = None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Prepare the image ``name``, so that the first sandbox of this shape starts as fast as all later ones.

    ``memory`` and ``disk`` are MiB; None is the core's default, as in `Sandbox.create`. Raises `ImageError`,
    `MachineError`.
    """
    request = ImageWarm(
        image=name, cpus=cpus, memory=memory, disk=disk, network=network, accelerator=accelerator
    )
    await call(request, progress)


async def remove_image(name: str) -> None:
    """Remove the image ``name``. Raises `NotFound`, and `WrongState` when a sandbox was made of it.

    While an image is built it waits for that.
    """
    await call(ImageRemove(name=name))
