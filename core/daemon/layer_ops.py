"""The operations that make images of what sandboxes hold: what has changed in one becomes a layer."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core import dockerfile
from sandtop.core.contract.image import (
    BuildStep,
    ImageAnswer,
    ImageAssemble,
    ImageCommit,
    ImageStep,
    ImageSteps,
    KnownSteps,
)
from sandtop.core.daemon.dispatch import answers, makes
from sandtop.core.daemon.image_ops import heard, image_view, prune
from sandtop.core.errors import ImageError, InvalidRequest, StorageError, from_os_error
from sandtop.core.files import FileFailed
from sandtop.core.guest import ContainerConfig, Stack
from sandtop.core.sessions import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from sandtop.core.daemon.dispatch import Core
    from sandtop.core.daemon.once import Work
    from sandtop.core.files import Caller
    from sandtop.core.fleet import Sandbox
    from sandtop.core.guest import Descriptor, Image, Incoming

    Opener = Callable[[], AbstractContextManager[Incoming]]

_AT_ONCE: Final = 1 << 20
"""Bytes that are written to the disk at once."""
_RESERVE: Final = 64 << 20
"""Bytes that a layer leaves free on the disk."""
_FIRST_WORD: Final = 16 << 20
"""Bytes of a layer that came before somebody is told; then twice as many, and so on."""


@makes(ImageCommit)
async def commit(core: Core, request: ImageCommit, work: Work) -> ImageAnswer:
    sandbox = core.fleet.get(request.sandbox)
    name = core.guest.new_name(request.name)
    config = await _config(core, sandbox, request.changes or ())
    with core.guest.new_layers() as opener:
        layers = await _beneath(core, sandbox, opener, work)
        tar = await _layer(core, sandbox, opener, "changes", {}, work)
        image = await _assembled(
            core, name, layers.with_tar(tar), config, f"the sandbox {sandbox.name}", work
        )
    await prune(core, work)
    return ImageAnswer(image=image_view(image, core.fleet.images_in_use()))


async def _config(core: Core, sandbox: Sandbox, changes: list[str] | tuple[str, ...]) -> ContainerConfig:
    """What programs of the image get: as in its own image, but as the sandbox has it, and changed."""
    row = sandbox.row
    image = await trio.to_thread.run_sync(core.guest.find_image, row.config.image)
    same = image is not None and image.digest == row.image_digest and image.container is not None
    said = (
        image.container.config
        if same and image is not None and image.container is not None
        else ContainerConfig()
    )
    settings = dockerfile.Settings(
        env={**said.env, **row.config.env},
        user="" if row.config.user == "root" else row.config.user,
        workdir=row.config.workdir,
        entrypoint=[*said.entrypoint],
        cmd=[*said.cmd],
        stop_signal=row.config.stop_signal,
        labels=dict(said.labels),
        volumes=[*said.volumes],
        ports=[*said.ports],
    )
    for text in changes:
        dockerfile.change(settings, text)
    return ContainerConfig(
        env=settings.env,
        user=settings.user,
        workdir=settings.workdir,
        entrypoint=tuple(settings.entrypoint),
        cmd=tuple(settings.cmd),
        stop_signal=settings.stop_signal,
        labels=settings.labels,
        volumes=tuple(settings.volumes),
        ports=tuple(settings.ports),
    )


@makes(ImageStep)
async def keep_step(core: Core, request: ImageStep, work: Work) -> BuildStep:
    steps = core.guest.steps
    if work.repeated and (found := await trio.to_thread.run_sync(steps.find, request.key)) is not None:
        return BuildStep(layers=len(found.layers), size=0)
    sandbox = core.fleet.get(request.sandbox)
    with core.guest.new_layers() as opener:
        fields = {"since": request.parent, "mark": request.key}
        if request.parent is not None:
            layers = await trio.to_thread.run_sync(steps.get, request.parent)
        else:
            layers = await _beneath(core, sandbox, opener, work)
        stack = layers.with_tar(tar := await _layer(core, sandbox, opener, "changes", fields, work))
        try:
            await trio.to_thread.run_sync(steps.keep, request.key, stack)
        except OSError as error:
            raise from_os_error(error, "keeping a step of a build") from error
    return BuildStep(layers=len(stack.layers), size=tar.size)


@answers(ImageSteps)
async def known_steps(core: Core, request: ImageSteps) -> KnownSteps:
    def known() -> list[str]:
        return [key for key in request.keys if core.guest.steps.find(key) is not None]

    return KnownSteps(keys=await trio.to_thread.run_sync(known))


@makes(ImageAssemble)
async def assemble(core: Core, request: ImageAssemble, work: Work) -> ImageAnswer:
    name, layers = core.guest.new_name(request.name), Stack()
    config = ContainerConfig.from_json(request.config.to_json(), name)
    with core.guest.new_layers():
        if request.step is not None:
            layers = await trio.to_thread.run_sync(core.guest.steps.get, request.step)
        elif request.image is not None:
            found = await trio.to_thread.run_sync(core.guest.image, request.image)
            if found.container is None:
                raise InvalidRequest(f"no layers of the image {request.image} are known")
            layers = found.container.stack
        image = await _assembled(core, name, layers, config, request.source, work)
    await prune(core, work)
    return ImageAnswer(image=image_view(image, core.fleet.images_in_use()))


async def _assembled(
    core: Core, name: str, layers: Stack, config: ContainerConfig, made: str, work: Work
) -> Image:
    return await trio.to_thread.run_sync(core.guest.assemble, name, layers, config, made, heard(work))


async def _beneath(core: Core, sandbox: Sandbox, opener: Opener, work: Work) -> Stack:
    """The layers of the image that the sandbox was made of; one of all of it where none are known."""
    row = sandbox.row
    known = await trio.to_thread.run_sync(core.guest.stack_of, row.config.image, row.image_digest)
    if known is not None:
        return known
    return Stack().with_tar(await _layer(core, sandbox, opener, "image", {}, work))


async def _layer(
    core: Core, sandbox: Sandbox, opener: Opener, what: str, fields: Mapping[str, object], work: Work
) -> Descriptor:
    """What the sandbox's agent has for a layer, in the store.

    Nothing of it is believed: what makes an image of it reads it as it reads what registries send.
    """
    await sandbox.adopted()
    sandbox.running_machine("make an image of")
    try:
        with opener() as fresh:
            async with sandbox.sessions.files.call(what, fields, "0", kind="layers") as call:
                await call.opened()
                await _receive(core, sandbox, call, fresh, work)
            return await trio.to_thread.run_sync(fresh.keep)
    except FileFailed as failure:
        where = f": {printable(failure.path)}" if failure.path else ""
        raise ImageError(
            f"{sandbox.name} cannot become an image: {printable(str(failure))}{where}", sandbox=sandbox.name
        ) from None
    except OSError as error:
        raise from_os_error(error, f"reading what {sandbox.name} holds") from error


async def _receive(core: Core, sandbox: Sandbox, call: Caller, fresh: Incoming, work: Work) -> None:
    held, size, word = list[bytes](), 0, _FIRST_WORD

    def write() -> None:
        if shutil.disk_usage(core.paths.layers).free < size + _RESERVE:
            raise StorageError(
                f"{sandbox.name}: there is no room on the disk for what it holds",
                sandbox=sandbox.name,
                hint="free some space, or move SANDTOP_HOME to a larger disk",
            )
        fresh.write(b"".join(held))

    while await call.wait_data():
        while (piece := call.piece()) is not None:
            held.append(piece)
            size += len(piece)
        if size >= _AT_ONCE:
            await trio.to_thread.run_sync(write)
            held, size = [], 0
        if fresh.size >= word:
            work.progress(f"{sandbox.name}: {fresh.size / 1e6:.0f} MB read")
            word *= 2
    await trio.to_thread.run_sync(write)
