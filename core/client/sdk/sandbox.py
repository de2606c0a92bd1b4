"""`Sandbox`: the SDK's front door."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

import anyio

from sandtop.core.client.link.asynchronous import AsyncConversation, call, call_all, listen
from sandtop.core.client.link.listening import ConsoleListening
from sandtop.core.client.link.listing import sandbox_listing
from sandtop.core.client.link.mounts import mount
from sandtop.core.client.link.operation import Holding
from sandtop.core.client.link.plain import new_id
from sandtop.core.client.link.ports import port_forward
from sandtop.core.client.link.secrets import secret
from sandtop.core.client.link.values import docker_config
from sandtop.core.contract.sandbox import (
    SandboxAcknowledge,
    SandboxConsole,
    SandboxCreate,
    SandboxHold,
    SandboxInfo,
    SandboxInspect,
    SandboxPause,
    SandboxPing,
    SandboxRemove,
    SandboxRestart,
    SandboxResume,
    SandboxStart,
    SandboxStop,
    SandboxTop,
    SandboxUpdate,
)
from sandtop.core.contract.session import SessionAcknowledge
from sandtop.core.errors import NotFound, SandtopError
from sandtop.core.groups import unwrapped

from .attach import Attachable
from .committing import Committable
from .copying import Copyable
from .execute import Executing
from .files import Files
from .networked import Networked
from .sandbox_sessions import Sessions
from .screen import Terminals

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Literal

    from sandtop.core.contract.mount import Mount
    from sandtop.core.contract.record import Request
    from sandtop.core.contract.sandbox import Inspection, Processes, SandboxAnswer
    from sandtop.core.contract.secret import GivenSecret

    Size = tuple[int, int]

_CLEANUP_SECONDS: Final = 60.0
"""How long leaving a block waits for the removal of its sandbox."""


class Sandbox(Executing, Attachable, Terminals, Copyable, Sessions, Networked, Committable):
    """A sandbox. `create`, `get` and `list` make these; the constructor is not for callers.

    As a context it is removed at the end if it was created here without ``keep=True``, and left alone otherwise.
    """

    def __init__(self, info: SandboxInfo, *, remove: bool = False) -> None:
        self._info = info
        self._remove = remove

    @classmethod
    async def create(
        cls,
        name: str,
        *,
        image: str | None = None,
        cpus: int | None = None,
        memory: int | None = None,
        disk: int | None = None,
        network: Literal["none", "user", "user:host-loopback", "filtered"] | None = None,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        shell: str | None = None,
        user: str | None = None,
        labels: Mapping[str, str] | None = None,
        accelerator: Literal["kvm", "tcg"] | None = None,
        cold: bool = False,
        ephemeral: bool = False,
        keep: bool = False,
        publish: Sequence[str] = (),
        allow: Sequence[str] | None = None,
        mounts: Sequence[str | Mount] = (),
        secrets: Sequence[str | GivenSecret] = (),
        progress: Callable[[str], None] | None = None,
    ) -> Self:
        """Make a sandbox, start it, and return it running. ``memory`` and ``disk`` are MiB; None is the core's default.

        It goes on from a template of its shape, which the first of that shape has to wait for; with ``cold`` it boots.
        ``accelerator`` is for this and all its later starts; None is the best that works on the core's host.
        ``image`` may be a container image in a registry, as ``debian:12``: one that is not here is pulled, as by
        `pull_image`. Its configuration says what is not said here: the environment, the user, the directory.
        An ``ephemeral`` one is removed by the core when nobody holds it any more: `hold`.
        ``publish`` are ports of the host that lead into it whenever it runs, such as ``"8080:80"``, or ``"80"`` for
        any that is free: `info` says which. ``mounts`` are mounted in it whenever it runs, each as `Mount` or as
        ``"type=volume,src=data,dst=/data"``, ``"type=tmpfs,dst=/scratch,tmpfs-size=64m"`` …
        ``allow`` is what it may reach, as `allow` has it, and nothing else: also with an empty one.
        ``secrets`` are put in by the core where it sends something to their host, and are never in it: each as
        ``"API=env:TOKEN@api.example.com"``, ``"API=file:token.txt@api.example.com"``, or as `GivenSecret`.

        ``progress`` is called with a line about whatever takes long. Raises `AlreadyExists`, `InvalidRequest`,
        `ImageError`, `MachineError` … When cancelled it removes what was made.
        """
        request = SandboxCreate(
            name=name,
            image=image,
            cpus=cpus,
            memory=memory,
            disk=disk,
            network=network,
            env=dict(env or {}),
            workdir=workdir,
            shell=shell,
            user=user,
            labels=dict(labels or {}),
            accelerator=accelerator,
            cold=cold,
            ephemeral=ephemeral,
            publish=[port_forward(text) for text in publish],
            allow=None if allow is None else [*allow],
            mounts=[mount(each) if isinstance(each, str) else each for each in mounts],
            secrets=[secret(each) if isinstance(each, str) else each for each in secrets],
            docker_config=docker_config() if image is not None else None,
            request_id=new_id(),
        )
        try:
            answer = await call(request, progress)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_CLEANUP_SECONDS, shield=True):
                await _undo(request)
            raise
        return cls(answer.sandbox, remove=not keep)

    @classmethod
    async def get(cls, name: str) -> Self:
        """The sandbox ``name`` (or uuid). Raises `NotFound`."""
        return cls((await call(SandboxInspect(sandbox=name))).sandbox)

    @classmethod
    def at(cls, reference: str) -> Self:
        """The sandbox of this name or uuid, without asking for it; what is done to it raises `NotFound` without one.

        Its `info` is empty, with the state ``"unknown"``, until something tells.
        """
        return cls(
            SandboxInfo(
                name=reference,
                uuid=reference,
                state="unknown",
                image="",
                cpus=0,
                memory=0,
                disk=0,
                network="none",
                created_at=0.0,
                labels={},
                env={},
                warnings=[],
                alerts=[],
                ports=[],
                allow=[],
                secrets=[],
                mounts=[],
            )
        )

    @classmethod
    async def list(cls, *, pages: int | None = None) -> list[Self]:
        """All sandboxes, oldest first; with ``pages`` no more than the newest that so many answers of the core hold,
        each of up to a MiB."""
        return [cls(info) for info in await call_all(sandbox_listing(), pages)]

    @property
    def name(self) -> str:
        return self._info.name

    @property
    def uuid(self) -> str:
        return self._info.uuid

    @property
    def info(self) -> SandboxInfo:
        """All about it, as of the last call that told: `refresh` asks again."""
        return self._info

    @property
    def files(self) -> Files:
        """Its files, read and written in place. `upload` and `download` copy whole trees."""
        return Files(self.uuid)

    def __repr__(self) -> str:
        return f"<Sandbox {self.name} {self._info.state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._remove:
            return
        with anyio.move_on_after(_CLEANUP_SECONDS, shield=True):
            try:
                await self.rm(force=True)
            except NotFound:
                return

    # its life

    async def refresh(self) -> SandboxInfo:
        """Ask again how it is."""
        self._info = (await self.inspect()).sandbox
        return self._info

    async def inspect(self) -> Inspection:
        """All that the core knows of it: also its machine's command line, the timings of its start, its console."""
        return await call(SandboxInspect(sandbox=self.uuid))

    async def ping(self) -> float:
        """Ask its agent whether it is there; the seconds that it took. Raises `WrongState`, `ChannelError`."""
        return (await call(SandboxPing(sandbox=self.uuid))).seconds

    async def top(self) -> Processes:
        """What runs in it, by its agent's word, what takes most of its processors first.

        Raises `WrongState` when it does not run, or its agent is of an older sandtop; `ChannelError`.
        """
        return await call(SandboxTop(sandbox=self.uuid))

    async def console(self, *, tail: int | None = None) -> bytes:
        """What its guest's kernel and agent printed since its last start: the last 256 KiB, or ``tail`` lines of it.

        A guest can print anything: it is not fit for a terminal as it is.
        """
        request = SandboxConsole(sandbox=self.uuid, tail=tail)
        return b"".join([piece async for piece in listen(ConsoleListening(request))])

    def follow_console(self, *, tail: int | None = None) -> AsyncGenerator[bytes]:
        """As `console`, and what comes until its machine ends."""
        return listen(ConsoleListening(SandboxConsole(sandbox=self.uuid, tail=tail, follow=True)))

    async def update(self, *, disk: int) -> None:
        """Give it a disk of ``disk`` MiB, while it runs or not. Raises `InvalidRequest` for a smaller one."""
        await self._do(SandboxUpdate(sandbox=self.uuid, disk=disk, request_id=new_id()))

    async def start(self, *, cold: bool = False, accelerator: Literal["kvm", "tcg"] | None = None) -> None:
        """Start it, from a template or, with ``cold``, by booting; ``accelerator`` is for this start alone.

        Raises `WrongState` when it runs, `MachineError` when it cannot.
        """
        await self._do(SandboxStart(sandbox=self.uuid, cold=cold, accelerator=accelerator))

    async def stop(self, *, force: bool = False) -> None:
        """End what runs in it and switch it off; with ``force`` at once. What was written stays."""
        await self._do(SandboxStop(sandbox=self.uuid, force=force))

    async def restart(
        self, *, force: bool = False, cold: bool = False, accelerator: Literal["kvm", "tcg"] | None = None
    ) -> None:
        """Stop it, if it runs, and start it, as `start` does."""
        await self._do(SandboxRestart(sandbox=self.uuid, force=force, cold=cold, accelerator=accelerator))

    async def pause(self) -> None:
        """Freeze it: memory stays, nothing runs, timeouts stand still."""
        await self._do(SandboxPause(sandbox=self.uuid))

    async def resume(self) -> None:
        """Let a paused one go on."""
        await self._do(SandboxResume(sandbox=self.uuid))

    async def rm(self, *, force: bool = False, keep_history: bool = False) -> None:
        """Remove it with all that was written in it; ``force`` ends a running one first.

        With ``keep_history`` its sessions' output and exit records stay. Raises `WrongState` when it runs.
        """
        await call(SandboxRemove(sandbox=self.uuid, force=force, keep_history=keep_history))

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[None]:
        """While in this context an ``ephemeral`` sandbox stays. Afterwards the core removes it, also when this
        program was killed; a core that was killed itself is told again."""
        holding = Holding(SandboxHold(sandbox=self.uuid))
        conversation = AsyncConversation(holding)
        try:
            while not holding.held:
                await conversation.advance()
            with unwrapped():
                async with anyio.create_task_group() as group:
                    group.start_soon(conversation.run)
                    yield
                    group.cancel_scope.cancel()
        finally:
            await conversation.aclose()

    async def acknowledge(self, *sessions: str, undo: bool = False) -> None:
        """Say that it was seen how ``sessions`` ended or that they wait, or without any that the sandbox itself
        failed or was lost.

        They stay in the history; no console asks for somebody any more, until ``undo`` takes that back. Raises
        `WrongState` when they did not end, nor wait.
        """
        if sessions:
            await call(SessionAcknowledge(sandbox=self.uuid, sessions=[*sessions], undo=undo))
        else:
            await self._do(SandboxAcknowledge(sandbox=self.uuid, undo=undo))

    async def _do(self, request: Request[SandboxAnswer]) -> None:
        self._info = (await call(request)).sandbox


async def _undo(request: SandboxCreate) -> None:
    """Remove what a create that nobody waits for any more makes: asked again, the core tells which it is."""
    try:
        made = (await call(request)).sandbox
        await call(SandboxRemove(sandbox=made.uuid, force=True))
    except SandtopError:
        return  # nothing was made
