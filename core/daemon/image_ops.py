"""The operations on images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import trio

from sandtop.core.contract.image import (
    STEP,
    ImageAnswer,
    ImageBuild,
    ImageConfig,
    ImageDetails,
    ImageInfo,
    ImageInspect,
    ImageLayer,
    ImageList,
    ImageLoad,
    ImagePrune,
    ImagePull,
    ImageRemove,
    Images,
    ImageTag,
    ImageWarm,
    Pruned,
)
from sandtop.core.contract.record import Nothing
from sandtop.core.daemon.dispatch import answers, makes
from sandtop.core.daemon.pulling import pull
from sandtop.core.daemon.sandbox_ops import DEFAULT, shape_of
from sandtop.core.errors import InvalidRequest, NotFound, WrongState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandtop.core.daemon.dispatch import Core
    from sandtop.core.daemon.once import Work
    from sandtop.core.guest import Image
    from sandtop.core.templates import TemplateInfo


def image_view(
    image: Image, users: Mapping[str, str], templates: Sequence[TemplateInfo] = (), standing_by: int = 0
) -> ImageInfo:
    its = [template for template in templates if template.image_digest == image.digest]
    return ImageInfo(
        name=image.name,
        digest=image.digest,
        size=image.size,
        created_at=image.created_at,
        source=image.source,
        used_by=users.get(image.digest),
        templates=len(its),
        template_size=sum(template.size for template in its),
        templates_outdated=sum(template.outdated for template in its),
        standing_by=standing_by,
        pinned=image.container.pinned or None if image.container is not None else None,
    )


@answers(ImageList)
async def list_images(core: Core, request: ImageList) -> Images:
    images = await trio.to_thread.run_sync(core.guest.images)
    templates = await trio.to_thread.run_sync(core.fleet.templates.on_disk)
    users, ready = core.fleet.images_in_use(), core.fleet.warm_machines
    return Images(
        images=[image_view(image, users, templates, ready.get(image.digest, 0)) for image in images]
    )


@makes(ImageBuild)
async def build_image(core: Core, request: ImageBuild, work: Work) -> ImageAnswer:
    name, tell = request.name, heard(work)
    if request.source is None:
        if name != "base":
            raise InvalidRequest(
                f"what should the image {name:.80} be built from?",
                hint="give a folder or a tar: --from DIR|TAR",
            )
        image = await trio.to_thread.run_sync(core.guest.build_base, tell)
    else:
        path = _absolute(request.source)
        image = await trio.to_thread.run_sync(core.guest.build_image, name, path, tell)
    await prune(core, work)
    return ImageAnswer(image=image_view(image, core.fleet.images_in_use()))


@makes(ImagePull)
async def pull_image(core: Core, request: ImagePull, work: Work) -> ImageAnswer:
    image = await pull(core, request.name, request.docker_config, work, insecure=request.insecure)
    await prune(core, work)
    return ImageAnswer(image=image_view(image, core.fleet.images_in_use()))


@makes(ImageLoad)
async def load_image(core: Core, request: ImageLoad, work: Work) -> Images:
    path = _absolute(request.path)
    made = await trio.to_thread.run_sync(core.guest.load_images, path, request.name, heard(work))
    await prune(core, work)
    users = core.fleet.images_in_use()
    return Images(images=[image_view(image, users) for image in made])


@makes(ImageTag)
async def tag_image(core: Core, request: ImageTag, work: Work) -> ImageAnswer:
    image = await trio.to_thread.run_sync(core.guest.tag_image, request.name, request.new, heard(work))
    await prune(core, work)
    return ImageAnswer(image=image_view(image, core.fleet.images_in_use()))


@answers(ImageInspect)
async def inspect_image(core: Core, request: ImageInspect) -> ImageDetails:
    image = await trio.to_thread.run_sync(core.guest.image, request.name)
    templates = await trio.to_thread.run_sync(core.fleet.templates.on_disk)
    ready = core.fleet.warm_machines.get(image.digest, 0)
    view = image_view(image, core.fleet.images_in_use(), templates, ready)
    container = image.container
    if container is None:
        return ImageDetails(image=view, layers=[])
    config = container.config
    return ImageDetails(
        image=view,
        id=container.id,
        config=ImageConfig(
            env=dict(config.env),
            user=config.user,
            workdir=config.workdir,
            entrypoint=[*config.entrypoint],
            cmd=[*config.cmd],
            stop_signal=config.stop_signal,
            labels=dict(config.labels),
            volumes=[*config.volumes],
            ports=[*config.ports],
        ),
        layers=[ImageLayer(digest=layer.digest, size=layer.size) for layer in container.layers],
    )


@makes(ImagePrune)
async def prune_images(core: Core, request: ImagePrune, work: Work) -> Pruned:
    gone, freed = list[str](), 0
    used = core.fleet.images_in_use()
    for image in await trio.to_thread.run_sync(core.guest.images):
        # those of a build go with it, but for one whose client was killed
        wanted = request.all or image.source == STEP
        if wanted and image.name != DEFAULT.image and image.digest not in used:
            await remove_image(core, ImageRemove(name=image.name), work)
            gone.append(image.name)
            freed += image.size
    freed += await trio.to_thread.run_sync(core.guest.free, _in_use(core), heard(work))
    await prune(core, work)
    return Pruned(images=gone, freed=freed)


@makes(ImageWarm)
async def warm_image(core: Core, request: ImageWarm, work: Work) -> Nothing:
    await core.fleet.prepare(shape_of(request), work.progress)
    return Nothing()


@makes(ImageRemove)
async def remove_image(core: Core, request: ImageRemove, work: Work) -> Nothing:
    name = request.name

    def check(image: Image) -> None:
        user = trio.from_thread.run_sync(core.fleet.images_in_use).get(image.digest)
        others = [
            other
            for other in core.guest.images()
            if other.digest == image.digest and other.name != image.name
        ]
        if user is not None and not others:
            raise WrongState(
                f"the image {name} is used by the sandbox {user}",
                sandbox=user,
                hint=f"remove that first: sandtop rm {user}",
            )

    try:
        await trio.to_thread.run_sync(core.guest.remove_image, name, check, heard(work))
    except NotFound:
        if not work.repeated:
            raise
    await prune(core, work)
    return Nothing()


def heard(work: Work) -> Callable[[str], None]:
    """`Work.progress` for a thread."""
    return lambda line: trio.from_thread.run_sync(work.progress, line)


def _in_use(core: Core) -> Callable[[], list[str]]:
    """The digests of the images that sandboxes have, for a thread."""
    return lambda: list(trio.from_thread.run_sync(core.fleet.images_in_use))


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise InvalidRequest(f"{path} is not an absolute path")
    return path


async def prune(core: Core, work: Work) -> None:
    """Free what images that no name and no sandbox has any more, and their templates, take on the disk."""

    await trio.to_thread.run_sync(core.guest.prune_images, _in_use(core), heard(work))
    named = {image.digest for image in await trio.to_thread.run_sync(core.guest.images)}
    await core.fleet.forget_images(named | core.fleet.images_in_use().keys())
