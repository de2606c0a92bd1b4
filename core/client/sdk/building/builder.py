"""Builds an image of a Dockerfile: each stage in a sandbox, each step that changes files a layer that is kept."""

from __future__ import annotations

import re
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import anyio
import anyio.to_thread

from sandtop.core import dockerfile as dockerfiles
from sandtop.core.client.link.asynchronous import call
from sandtop.core.client.link.values import docker_config
from sandtop.core.contract.image import (
    STEP,
    ImageAssemble,
    ImageConfig,
    ImageInspect,
    ImagePull,
    ImageRemove,
    ImageStep,
    ImageSteps,
)
from sandtop.core.dockerfile.stages import SCRATCH
from sandtop.core.errors import InvalidRequest, NotFound, SandtopError

from ..sandbox import Sandbox
from .carrying import copy, run
from .context import Context
from .steps import Copy, Planned, Planner, Run, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sandtop.core.contract.image import ImageDetails, ImageInfo
    from sandtop.core.dockerfile import Dockerfile, Settings

    from .steps import Step

    Tell = Callable[[str], None]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,199}")
_MAX_FILE: Final = 4 << 20
_CLEANUP_SECONDS: Final = 60.0
PREFIX: Final = "build-"
"""How the names begin of the sandboxes and images that a build makes and removes."""


@dataclass(frozen=True, slots=True)
class Options:
    """How something is built.

    Attributes:
        arguments: values of ARG.
        cache: whether steps that were taken before are not taken again.
        shape: of the sandboxes: what `Sandbox.create` takes.
    """

    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    cache: bool = True
    cpus: int | None = None
    memory: int | None = None
    disk: int | None = None
    network: Literal["none", "user", "user:host-loopback"] | None = None
    accelerator: Literal["kvm", "tcg"] | None = None


async def build(context: Path, file: Path, name: str, options: Options, tell: Tell) -> ImageInfo:
    """Build the image ``name``. ``tell`` gets a line for each step, and what programs write.

    Raises `InvalidRequest` before anything is run, for what is not supported and for what is not there; `ImageError`
    for a program that fails.
    """
    if not _NAME.fullmatch(name):  # the core has the last word, when all is built
        raise InvalidRequest(f"{name!r:.80} is no name for an image", hint="such as app, app:1 or team/app:1")
    source = await anyio.to_thread.run_sync(_read, file)
    try:
        dockerfile = dockerfiles.parse(source, options.arguments)
    except InvalidRequest as error:
        raise InvalidRequest(f"{file}: {error.message}", hint=error.hint) from error
    for warning in dockerfile.warnings:
        tell(f"warning: {file}: {warning}")
    files = await anyio.to_thread.run_sync(Context, context)
    async with AsyncExitStack() as stack:
        builder = _Builder(dockerfile, files, options, tell, stack)
        try:
            return await builder.build(name)
        except InvalidRequest as error:
            if error.message.startswith("line "):
                raise InvalidRequest(f"{file}: {error.message}", hint=error.hint) from error
            raise


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_FILE).decode("utf-8")
    except OSError as error:
        raise InvalidRequest(f"{file}: {error.strerror}", hint="another one: -f FILE") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{file} is no text in UTF-8") from error


class _Builder:
    def __init__(
        self, dockerfile: Dockerfile, context: Context, options: Options, tell: Tell, stack: AsyncExitStack
    ) -> None:
        self._dockerfile = dockerfile
        self._context = context
        self._options = options
        self._tell = tell
        self._stack = stack
        self._planned: dict[int, Planned] = {}
        self._known: set[str] = set()
        self._at: dict[int, str | None] = {}
        self._live: dict[int, Sandbox] = {}
        self._done: set[int] = set()
        self._settings: dict[int, Settings] = {}

    async def build(self, name: str) -> ImageInfo:
        last = len(self._dockerfile.stages) - 1
        await self._plan(last)
        every = [step.key for stage in self._planned.values() for step in stage.steps if step.key is not None]
        roots = [stage.root for stage in self._planned.values() if stage.root is not None]
        known = (await call(ImageSteps(keys=[*dict.fromkeys([*every, *roots])]))).keys
        self._known = {*known} if self._options.cache else {*known} & {*roots}
        await self._complete(last)
        stage = self._planned[last]
        if stage.last is not None and stage.last not in self._known:
            await self._sandbox(last)  # which takes all of its image as a layer
        base = self._dockerfile.stages[last].base
        return await self._assemble(name, last, stage.settings, f"a Dockerfile, FROM {base}")

    # planning

    async def _plan(self, number: int) -> None:
        """Plan a stage, and before it those that it needs."""
        if number in self._planned:
            return
        for below in self._needs(number):
            await self._plan(below)
        stage = await self._begun(number)
        planner = Planner(self._dockerfile, self._context, self._found, self._planned)
        await anyio.to_thread.run_sync(planner.plan, number, stage)
        self._planned[number] = stage

    def _needs(self, number: int) -> list[int]:
        """The stages that one begins from or copies from, as far as that is known before variables are."""
        stage = self._dockerfile.stages[number]
        names = [stage.base, *(one.flags["from"] for one in stage.instructions if "from" in one.flags)]
        found = (self._dockerfile.stage(name, number) for name in names)
        return [one for one in found if one is not None]

    def _found(self, name: str, before: int) -> int:
        number = self._dockerfile.stage(name, before)
        if number is None or number not in self._planned:
            raise InvalidRequest(
                f"there is no stage {name!r:.60} before it",
                hint=f"files of an image: first a stage of it, FROM {name:.60} AS NAME",
            )
        return number

    async def _begun(self, number: int) -> Planned:
        stage = self._dockerfile.stages[number]
        below = self._dockerfile.stage(stage.base, number)
        if below is not None:
            base = self._planned[below]
            return Planned(
                base.chain, base.image, base.settings.frozen(), base.last, base.root, below, base.cold
            )
        if stage.base == SCRATCH:
            return Planned(key_of("from", SCRATCH), "", dockerfiles.Settings())
        details = await self._image(stage.base, stage.line)
        chain = key_of("from", details.image.digest)
        cold = not details.image.templates
        if details.config is None:
            return Planned(chain, stage.base, dockerfiles.Settings(), chain, chain, cold=cold)
        config = details.config
        settings = dockerfiles.Settings(
            dict(config.env), config.user, config.workdir, [*config.entrypoint], [*config.cmd], config.stop_signal,
            dict(config.labels), [*config.volumes], [*config.ports],
        )  # fmt: skip
        return Planned(chain, stage.base, settings, cold=cold)

    async def _image(self, name: str, line: int) -> ImageDetails:
        """All that is known of a base image; one that is not here is pulled."""
        try:
            return await call(ImageInspect(name=name))
        except NotFound:
            pass
        try:
            await call(ImagePull(name=name, docker_config=docker_config()), self._tell)
            return await call(ImageInspect(name=name))
        except SandtopError as error:
            error.message = f"line {line}: FROM: {error.message}"
            raise

    # carrying out

    async def _complete(self, number: int) -> None:
        """Carry out all of a stage that was not before."""
        if number in self._done:
            return
        self._done.add(number)
        stage = self._planned[number]
        if stage.below is not None and stage.key is not None and stage.key not in self._known:
            await self._complete(stage.below)
        self._at[number], self._settings[number] = stage.key, stage.begun
        base = self._dockerfile.stages[number]
        label = f" {base.name}" if base.name else ""
        for count, step in enumerate(stage.steps, 1):
            head = f"[{number + 1}.{count}/{len(stage.steps)}{label}] {step.instruction.title}"
            if step.key is not None and step.key in self._known and number not in self._live:
                self._tell(f"{head}: as before")
                self._at[number] = step.key
            else:
                if isinstance(step.work, Copy) and step.work.stage is not None:
                    await self._complete(step.work.stage)
                self._tell(head)
                await self._carry_out(number, step)
            self._settings[number] = step.settings

    async def _carry_out(self, number: int, step: Step) -> None:
        if step.key is None:
            if step.workdir is not None and number in self._live:
                await self._live[number].files.mkdir(step.workdir, parents=True, user="0")
            return
        sandbox = await self._sandbox(number)
        try:
            if isinstance(step.work, Run):
                await run(sandbox, step.work, self._tell)
            elif isinstance(step.work, Copy):
                await self._copy(sandbox, step.work)
        except SandtopError as error:
            error.message = f"line {step.instruction.line}: {step.instruction.title:.200}: {error.message}"
            if isinstance(step.work, Run) and error.hint is None and self._options.network in (None, "none"):
                error.hint = "it ran without a network: if it needs one, --network user"
            raise
        await self._keep(number, sandbox, step.key)

    async def _copy(self, sandbox: Sandbox, work: Copy) -> None:
        origin = None
        if work.stage is not None:
            origin = await self._sandbox(work.stage)
        await copy(sandbox, work, origin)

    async def _keep(self, number: int, sandbox: Sandbox, key: str) -> None:
        await call(ImageStep(sandbox=sandbox.uuid, key=key, parent=self._at[number]), self._tell)
        self._known.add(key)
        self._at[number] = key

    async def _sandbox(self, number: int) -> Sandbox:
        """The sandbox of a stage, as it is after the last step that was carried out or kept."""
        if number in self._live:
            return self._live[number]
        stage, at = self._planned[number], self._at[number]
        image, fresh = stage.image, not stage.image or (at is not None and at != stage.root)
        if fresh:
            image = f"{PREFIX}{secrets.token_hex(6)}"
            self._stack.push_async_callback(_removed, image)
            await self._assemble(image, number, self._settings[number], STEP)
        options = self._options
        sandbox = await self._stack.enter_async_context(
            await Sandbox.create(
                f"{PREFIX}{secrets.token_hex(6)}",
                image=image,
                cpus=options.cpus,
                memory=options.memory,
                disk=options.disk,
                network=options.network,
                accelerator=options.accelerator,
                cold=fresh or stage.cold,  # to prepare a template takes longer than to boot once
                ephemeral=True,
                progress=self._tell,
            )
        )
        await self._stack.enter_async_context(sandbox.hold())
        self._live[number] = sandbox
        if at is not None and at not in self._known:
            self._tell(f"reading {image}, of which no layers are known: once")
            self._at[number] = None
            await self._keep(number, sandbox, at)
        return sandbox

    async def _assemble(self, name: str, number: int, settings: Settings, source: str) -> ImageInfo:
        at = self._at[number]
        config = ImageConfig(
            env=settings.env,
            user=settings.user,
            workdir=settings.workdir,
            entrypoint=settings.entrypoint,
            cmd=settings.cmd,
            stop_signal=settings.stop_signal,
            labels=settings.labels,
            volumes=settings.volumes,
            ports=settings.ports,
        )
        base = self._planned[number].image or None
        request = ImageAssemble(
            name=name, config=config, step=at, image=base if at is None else None, source=source
        )
        return (await call(request, self._tell)).image


async def _removed(image: str) -> None:
    """Remove an image that was made for a build, whatever became of that."""
    with anyio.move_on_after(_CLEANUP_SECONDS, shield=True):
        try:
            await call(ImageRemove(name=image))
        except SandtopError:
            return  # it was not made, or `image prune` finds it
