"""`Sandbox`: the SDK's front door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import anyio

from sandtop.core.client.link.answers import as_object
from sandtop.core.client.link.asynchronous import call, call_all, call_message
from sandtop.core.client.link.plain import new_id, request
from sandtop.core.client.link.records import SandboxInfo, SessionInfo
from sandtop.core.client.link.values import limits
from sandtop.core.client.session.following import STDERR, STDOUT, Following, Reading
from sandtop.core.client.session.stream import EventStream
from sandtop.core.errors import NotFound, SandtopError

from .attach import Attachable
from .collect import MAX_OUTPUT, Log, Output, collect, collect_log
from .copying import Copyable
from .process import OnExit, Process, begun
from .screen import Terminals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Literal

    from sandtop.core.client.link.values import Rlimit

    Size = tuple[int, int]

_CLEANUP_SECONDS: Final = 60.0
"""How long leaving a block waits for the removal of its sandbox."""


class Sandbox(Attachable, Terminals, Copyable):
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
        network: Literal["none", "user"] | None = None,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        shell: str | None = None,
        user: str | None = None,
        labels: Mapping[str, str] | None = None,
        accelerator: Literal["kvm", "tcg"] | None = None,
        cold: bool = False,
        keep: bool = False,
        progress: Callable[[str], None] | None = None,
    ) -> Self:
        """Make a sandbox, start it, and return it running. ``memory`` and ``disk`` are MiB; None is the core's default.

        It goes on from a template of its shape, which the first of that shape has to wait for; with ``cold`` it boots.
        ``accelerator`` is for this and all its later starts; None is the best that works on the core's host.

        ``progress`` is called with a line about whatever takes long. Raises `AlreadyExists`, `InvalidRequest`,
        `ImageError`, `MachineError` … When cancelled it removes what was made.
        """
        fields = {
            "name": name,
            "image": image,
            "cpus": cpus,
            "memory": memory,
            "disk": disk,
            "network": network,
            "env": dict(env or {}),
            "workdir": workdir,
            "shell": shell,
            "user": user,
            "labels": dict(labels or {}),
            "accelerator": accelerator,
            "cold": cold,
        }
        message = request("sandbox.create", fields)
        try:
            result = await call_message(message, progress)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_CLEANUP_SECONDS, shield=True):
                await _undo(message)
            raise
        return cls(_sandbox(result), remove=not keep)

    @classmethod
    async def get(cls, name: str) -> Self:
        """The sandbox ``name`` (or uuid). Raises `NotFound`."""
        return cls(_sandbox(await call("sandbox.inspect", {"sandbox": name})))

    @classmethod
    async def list(cls) -> list[Self]:
        """All sandboxes, oldest first."""
        return [cls(SandboxInfo.read(item)) for item in await call_all("sandbox.list")]

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
        self._info = _sandbox(await call("sandbox.inspect", {"sandbox": self.uuid}))
        return self._info

    async def start(self, *, cold: bool = False, accelerator: Literal["kvm", "tcg"] | None = None) -> None:
        """Start it, from a template or, with ``cold``, by booting; ``accelerator`` is for this start alone.

        Raises `WrongState` when it runs, `MachineError` when it cannot.
        """
        await self._do("start", cold=cold, accelerator=accelerator)

    async def stop(self, *, force: bool = False) -> None:
        """End what runs in it and switch it off; with ``force`` at once. What was written stays."""
        await self._do("stop", force=force)

    async def restart(
        self, *, force: bool = False, cold: bool = False, accelerator: Literal["kvm", "tcg"] | None = None
    ) -> None:
        """Stop it, if it runs, and start it, as `start` does."""
        await self._do("restart", force=force, cold=cold, accelerator=accelerator)

    async def pause(self) -> None:
        """Freeze it: memory stays, nothing runs, timeouts stand still."""
        await self._do("pause")

    async def resume(self) -> None:
        """Let a paused one go on."""
        await self._do("resume")

    async def rm(self, *, force: bool = False, keep_history: bool = False) -> None:
        """Remove it with all that was written in it; ``force`` ends a running one first.

        With ``keep_history`` its sessions' output and exit records stay. Raises `WrongState` when it runs.
        """
        await call("sandbox.rm", {"sandbox": self.uuid, "force": force, "keep_history": keep_history})

    async def _do(self, verb: str, **fields: object) -> None:
        self._info = _sandbox(await call(f"sandbox.{verb}", {"sandbox": self.uuid, **fields}))

    # what runs in it

    async def exec(
        self,
        program: str,
        args: Sequence[str] = (),
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the sandbox keeps it, also without us
        rlimits: Mapping[str, Rlimit] | None = None,
        stdin: bytes | None = None,
        tty: bool | Size = False,
        labels: Mapping[str, str] | None = None,
        max_output: int = MAX_OUTPUT,
    ) -> Output:
        """Run ``program`` and wait for its end. A failing program is an `Output` too, not an exception.

        ``timeout`` is in seconds and ends all that the command started; ``rlimits`` are ``soft``, ``(soft, hard)`` or
        ``"unlimited"``; ``tty`` may be ``(rows, columns)``; ``stdin`` None is empty. Raises `SpawnError` when the
        program could not be started, `WrongState` when the sandbox does not run, `MachineError` when it died.
        """
        fields = _execution(cwd, env, user, timeout, rlimits, stdin, tty, labels)
        return await self._collect({**fields, "argv": [program, *args]}, stdin, max_output)

    async def shell(
        self,
        script: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the sandbox keeps it, also without us
        rlimits: Mapping[str, Rlimit] | None = None,
        stdin: bytes | None = None,
        tty: bool | Size = False,
        labels: Mapping[str, str] | None = None,
        max_output: int = MAX_OUTPUT,
    ) -> Output:
        """Run ``script`` by the sandbox's shell; everything else as in `exec`."""
        fields = _execution(cwd, env, user, timeout, rlimits, stdin, tty, labels)
        return await self._collect({**fields, "script": script}, stdin, max_output)

    async def _collect(self, fields: Mapping[str, object], stdin: bytes | None, most: int) -> Output:
        stream = self._converse(fields, stdin, on_exit="kill")
        try:
            return await collect(stream, self.name, most)
        finally:
            await stream.aclose()

    async def exec_stream(
        self,
        program: str,
        args: Sequence[str] = (),
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the sandbox keeps it, also without us
        rlimits: Mapping[str, Rlimit] | None = None,
        stdin: bool | bytes | None = None,
        tty: bool | Size = False,
        labels: Mapping[str, str] | None = None,
        on_exit: OnExit = "kill",
    ) -> Process:
        """Start ``program`` and return when it runs; what it writes comes as events.

        ``stdin`` True gives `Process.stdin`, bytes are sent as they are, None is empty (a tty always has an input).
        ``on_exit`` says what leaving the block does: ``"kill"`` (the default) ends all that the command started, also
        when this program dies; ``"detach"`` leaves it running. All else as in `exec`.
        """
        fields = _execution(cwd, env, user, timeout, rlimits, stdin, tty, labels)
        stream = self._converse({**fields, "argv": [program, *args]}, stdin, on_exit=on_exit)
        piped = stdin is True or (bool(tty) and stdin is None)
        process = Process(stream, self.name, on_exit=on_exit, has_stdin=piped)
        await begun(process)
        return process

    def _converse(
        self, fields: Mapping[str, object], stdin: bool | bytes | None, *, on_exit: OnExit
    ) -> EventStream:
        message = request(
            "session.exec",
            {
                **fields,
                "sandbox": self.uuid,
                "id": new_id(),
                "detach": False,
                "on_hangup": "kill" if on_exit == "kill" else "keep",
            },
        )
        takes_input = fields["stdin"] is True or fields["tty"] is not None
        source = stdin if isinstance(stdin, bytes) else None
        return EventStream(Following(message, stdin=takes_input), source=source)

    async def follow(
        self, session: str, *, stdin: bool = False, stdout_from: int = 0, stderr_from: int = 0
    ) -> Process:
        """Come back to ``session`` (an id or the beginning of one), running or ended; leaving the block leaves it.

        Output comes from the offsets given; with ``stdin`` its input is taken too. Raises `NotFound`, and
        `WrongState` when another client holds the input.
        """
        message = request("session.follow", {"sandbox": self.uuid, "session": session, "input": stdin})
        following = Following(message, stdin=stdin, offsets={STDOUT: stdout_from, STDERR: stderr_from})
        process = Process(EventStream(following), self.name, on_exit="detach", has_stdin=stdin)
        await begun(process)
        return process

    async def sessions(self) -> Sequence[SessionInfo]:
        """Its sessions, running and ended, oldest first."""
        return [SessionInfo.read(item) for item in await call_all("session.list", {"sandbox": self.uuid})]

    async def acknowledge(self, *sessions: str) -> None:
        """Say that it was seen how ``sessions`` ended or that they wait, or without any that the sandbox itself
        failed or was lost.

        They stay in the history; no console asks for somebody any more. Raises `WrongState` when that is not so.
        """
        if sessions:
            await call("session.acknowledge", {"sandbox": self.uuid, "sessions": list(sessions)})
        else:
            await self._do("acknowledge")

    async def logs(
        self,
        session: str | None = None,
        *,
        since: float | None = None,
        tail: int | None = None,
        max_output: int = MAX_OUTPUT,
    ) -> Log:
        """What ``session`` (the latest when None) has written so far; `follow` goes on with it.

        ``since`` is in seconds since the epoch, ``tail`` a number of lines. Raises `NotFound`.
        """
        fields = {"sandbox": self.uuid, "session": session, "since": since, "tail": tail}
        message = request("session.logs", {**fields, "streams": ["stdout", "stderr"], "follow": False})
        stream = EventStream(Reading(message, {STDOUT: 0, STDERR: 0}, session=session))
        try:
            return await collect_log(stream, max_output)
        finally:
            await stream.aclose()


async def _undo(message: dict[str, object]) -> None:
    """Remove what a create that nobody waits for any more makes: asked again, the core tells which it is."""
    try:
        made = _sandbox(await call_message(message))
        await call("sandbox.rm", {"sandbox": made.uuid, "force": True})
    except SandtopError:
        return  # nothing was made


def _sandbox(result: Mapping[str, object]) -> SandboxInfo:
    return SandboxInfo.read(as_object(result.get("sandbox")))


def _execution(
    cwd: str | None,
    env: Mapping[str, str] | None,
    user: str | None,
    timeout: float | None,
    rlimits: Mapping[str, Rlimit] | None,
    stdin: bool | bytes | None,
    tty: bool | Size,
    labels: Mapping[str, str] | None,
) -> dict[str, object]:
    rows, columns = tty if isinstance(tty, tuple) else (24, 80)
    return {
        "cwd": cwd,
        "env": dict(env or {}),
        "user": user,
        "timeout": timeout,
        "rlimits": limits(rlimits),
        "stdin": stdin is True or isinstance(stdin, bytes),
        "tty": {"rows": rows, "columns": columns} if tty else None,
        "labels": dict(labels or {}),
    }
