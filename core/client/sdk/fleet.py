"""What is not about one sandbox: images and the core itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.client.link.answers import as_object, as_objects
from sandtop.core.client.link.asynchronous import call
from sandtop.core.client.link.records import CoreStatus, ImageInfo
from sandtop.core.client.link.values import image_source

if TYPE_CHECKING:
    import os
    from collections.abc import Callable


async def images() -> list[ImageInfo]:
    """The images that sandboxes can start from."""
    return [ImageInfo.read(item) for item in as_objects((await call("image.list")).get("images"))]


async def build_image(
    name: str, source: str | os.PathLike[str], progress: Callable[[str], None] | None = None
) -> ImageInfo:
    """Make the image ``name`` of a directory or a tar file. Raises `ImageError`, `InvalidRequest`."""
    fields = {"name": name, "source": image_source(source)}
    return ImageInfo.read(as_object((await call("image.build", fields, progress)).get("image")))


async def core_status() -> CoreStatus:
    """How the core is; it is started when it does not run."""
    return CoreStatus.read(await call("core.status"))
