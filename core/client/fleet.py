"""What is not about one sandbox: images and the core itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .connection import call
from .exchange import as_object, as_objects
from .records import CoreStatus, ImageInfo

if TYPE_CHECKING:
    from collections.abc import Callable


async def images() -> list[ImageInfo]:
    """The images that sandboxes can start from."""
    return [ImageInfo.read(item) for item in as_objects((await call("image.list")).get("images"))]


async def build_image(
    name: str, source: str | os.PathLike[str], progress: Callable[[str], None] | None = None
) -> ImageInfo:
    """Make the image ``name`` of a directory or a tar file. Raises `ImageError`."""
    fields = {"name": name, "source": os.path.abspath(source)}  # noqa: ASYNC240 - it touches no disk
    return ImageInfo.read(as_object((await call("image.build", fields, progress)).get("image")))


async def core_status() -> CoreStatus:
    """How the core is; it is started when it does not run."""
    return CoreStatus.read(await call("core.status"))
