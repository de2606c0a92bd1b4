"""The images that sandboxes start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sandtop.core.client.link import values
from sandtop.core.client.link.asynchronous import call
from sandtop.core.client.link.values import docker_config, image_source
from sandtop.core.contract.image import (
    ImageBuild,
    ImageInspect,
    ImageList,
    ImageLoad,
    ImagePrune,
    ImagePull,
    ImageRemove,
    ImageTag,
    ImageWarm,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    from sandtop.core.contract.image import ImageDetails, ImageInfo, Pruned


async def images() -> list[ImageInfo]:
    """The images that sandboxes can start from."""
    return (await call(ImageList())).images


async def build_image(
    name: str, source: str | os.PathLike[str], progress: Callable[[str], None] | None = None
) -> ImageInfo:
    """Make the image ``name`` of a directory or a tar file. Raises `ImageError`, `InvalidRequest`."""
    return (await call(ImageBuild(name=name, source=image_source(source)), progress)).image


async def build_dockerfile(
    context: str | os.PathLike[str],
    name: str,
    *,
    dockerfile: str | os.PathLike[str] | None = None,
    arguments: Mapping[str, str] | None = None,
    cache: bool = True,
    cpus: int | None = None,
    memory: int | None = None,
    disk: int | None = None,
    network: Literal["none", "user", "user:host-loopback"] | None = None,
    accelerator: Literal["kvm", "tcg"] | None = None,
    progress: Callable[[str], None] | None = None,
) -> ImageInfo:
    """Build the image ``name`` of a Dockerfile: that in the folder ``context``, unless ``dockerfile`` is another.

    Its programs run in a sandbox of this shape, and each step becomes a layer; steps that were taken before are not
    taken again, unless ``cache`` is False. ``arguments`` are the values of its ARGs. ``progress`` gets a line for each
    step, and the lines that programs write. Raises `InvalidRequest` before anything is run, for what the Dockerfile has
    that is not supported; `ImageError` for a step that fails.
    """
    from .building import Options, build

    root = Path(context)
    file = root / "Dockerfile" if dockerfile is None else Path(dockerfile)
    options = Options(arguments or {}, cache, cpus, memory, disk, network, accelerator)
    return await build(root, file, name, options, progress or (lambda _line: None))


async def pull_image(
    name: str, *, insecure: bool = False, progress: Callable[[str], None] | None = None
) -> ImageInfo:
    """Fetch the container image ``name``, as ``debian:12`` or ``ghcr.io/user/image@sha256:…``, and make an image of it.

    Layers that are here are not fetched. Passwords are those of docker's config.json and its helpers. ``insecure``
    allows a registry without TLS, or with a certificate that nobody vouches for. Raises `NotFound` when the registry
    has none, `ImageError`.
    """
    request = ImagePull(name=name, docker_config=docker_config(), insecure=insecure)
    return (await call(request, progress)).image


async def load_images(
    path: str | os.PathLike[str], name: str | None = None, progress: Callable[[str], None] | None = None
) -> list[ImageInfo]:
    """Make images of those in a file: what ``docker save`` writes, an OCI archive, the folder of an OCI layout.

    They are called what they say, or ``name`` where there is one alone. Raises `ImageError`, `InvalidRequest`.
    """
    return (await call(ImageLoad(path=image_source(path), name=name), progress)).images


async def inspect_image(name: str) -> ImageDetails:
    """All that is known of the image ``name``: its layers, the configuration that it came with. Raises `NotFound`."""
    return await call(ImageInspect(name=name))


async def image_command(
    name: str, command: Sequence[str] = (), *, entrypoint: str | None = None
) -> list[str]:
    """What ``docker run`` would run of the image ``name``: its entrypoint with ``command`` or, without, with its own.

    ``entrypoint`` goes before the image's; empty, there is none. Raises `NotFound`, and `InvalidRequest` when nothing
    is left to run.
    """
    return values.image_command(name, (await inspect_image(name)).config, command, entrypoint)


async def tag_image(name: str, new: str) -> ImageInfo:
    """Call the image ``name`` by the name ``new``, too. Raises `NotFound`, `InvalidRequest`."""
    return (await call(ImageTag(name=name, new=new))).image


async def prune_images(*, all: bool = False, progress: Callable[[str], None] | None = None) -> Pruned:
    """Free what no image has any more; with ``all`` also the images but ``base`` that no sandbox was made of."""
    return await call(ImagePrune(all=all), progress)


async def warm_image(
    name: str | None = None,
    *,
    cpus: int | None = None,
    memory: int | None = None,
    disk: int | None = None,
    network: Literal["none", "user", "user:host-loopback", "filtered"] | None = None,
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
