"""The operations on images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import trio

from sandtop.core.contract.image import (
    ImageAnswer,
    ImageBuild,
    ImageInfo,
    ImageList,
    ImageRemove,
    Images,
    ImageWarm,
)
from sandtop.core.contract.record import Nothing
from sandtop.core.daemon.dispatch import answers, makes
from sandtop.core.daemon.sandbox_ops import shape_of
from sandtop.core.errors import InvalidRequest, NotFound, WrongState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandtop.core.daemon.dispatch import Core
    from sandtop.core.daemon.once import Work
    from sandtop.core.guest import Image
    from sandtop.core.templates import TemplateInfo


def _image_view(
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
    )


@answers(ImageList)
async def list_images(core: Core, request: ImageList) -> Images:
    images = await trio.to_thread.run_sync(core.guest.images)
    templates = await trio.to_thread.run_sync(core.fleet.templates.on_disk)
    users, ready = core.fleet.images_in_use(), core.fleet.warm_machines
    return Images(
        images=[_image_view(image, users, templates, ready.get(image.digest, 0)) for image in images]
    )


@makes(ImageBuild)
async def build_image(core: Core, request: ImageBuild, work: Work) -> ImageAnswer:
    name, tell = request.name, _heard(work)
    if request.source is None:
        if name != "base":
            raise InvalidRequest(
                f"what should the image {name:.80} be built from?",
                hint="give a folder or a tar: --from DIR|TAR",
            )
        image = await trio.to_thread.run_sync(core.guest.build_base, tell)
    else:
        path = Path(request.source)
        if not path.is_absolute():
            raise InvalidRequest(f"{path} is not an absolute path")
        image = await trio.to_thread.run_sync(core.guest.build_image, name, path, tell)
    await _prune(core, work)
    return ImageAnswer(image=_image_view(image, core.fleet.images_in_use()))


@makes(ImageWarm)
async def warm_image(core: Core, request: ImageWarm, work: Work) -> Nothing:
    await core.fleet.prepare(shape_of(request), work.progress)
    return Nothing()


@makes(ImageRemove)
async def remove_image(core: Core, request: ImageRemove, work: Work) -> Nothing:
    name = request.name

    def check(image: Image) -> None:
        user = trio.from_thread.run_sync(core.fleet.images_in_use).get(image.digest)
        if user is not None:
            raise WrongState(
                f"the image {name} is used by the sandbox {user}",
                sandbox=user,
                hint=f"remove that first: sandtop rm {user}",
            )

    try:
        await trio.to_thread.run_sync(core.guest.remove_image, name, check, _heard(work))
    except NotFound:
        if not work.repeated:
            raise
    await _prune(core, work)
    return Nothing()


def _heard(work: Work) -> Callable[[str], None]:
    """`Work.progress` for a thread."""
    return lambda line: trio.from_thread.run_sync(work.progress, line)


async def _prune(core: Core, work: Work) -> None:
    """Free what images that no name and no sandbox has any more, and their templates, take on the disk."""

    def in_use() -> list[str]:
        return list(trio.from_thread.run_sync(core.fleet.images_in_use))

    await trio.to_thread.run_sync(core.guest.prune_images, in_use, _heard(work))
    named = {image.digest for image in await trio.to_thread.run_sync(core.guest.images)}
    await core.fleet.forget_images(named | core.fleet.images_in_use().keys())
