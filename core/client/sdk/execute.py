"""Executing programs and scripts: the SDK's ``exec`` and what belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.core.client.link.asynchronous import call
from sandtop.core.client.link.exec_messages import exec_message, request_of, takes_input
from sandtop.core.client.link.values import limits
from sandtop.core.client.session.following import Following
from sandtop.core.client.session.stream import EventStream
from sandtop.core.errors import InvalidRequest

from .collect import MAX_OUTPUT, Output, collect
from .process import OnExit, Process, begun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal

    from sandtop.core.client.link.values import Rlimit
    from sandtop.core.contract.sandbox import SandboxInfo
    from sandtop.core.contract.session_results import SessionInfo

    Size = tuple[int, int]
    StderrTo = Literal["stdout"]

_SIZE: Final = (24, 80)
"""Rows and columns of a terminal of which only that there is one was said."""


class Executing:
    """What a sandbox has to run programs."""

    _info: SandboxInfo

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
        stderr: StderrTo | None = None,
        tty: bool | Size = False,
        labels: Mapping[str, str] | None = None,
        max_output: int = MAX_OUTPUT,
    ) -> Output:
        """Run ``program`` and wait for its end. A failing program is an `Output` too, not an exception.

        ``timeout`` is in seconds and ends all that the command started; ``rlimits`` are ``soft``, ``(soft, hard)`` or
        ``"unlimited"``; ``tty`` may be ``(rows, columns)``; ``stdin`` None is empty; ``stderr="stdout"`` sends it
        where stdout goes, so that all comes in the order in which it was written. Raises `SpawnError` when the program
        could not be started, `WrongState` when the sandbox does not run, `MachineError` when it died.
        """
        message = self._message(
            [program, *args],
            cwd,
            env,
            user,
            timeout,
            rlimits,
            stdin,
            stderr,
            tty,
            labels,
            on_hangup="kill",
            awaited=False,
        )
        return await self._collect(message, stdin, max_output)

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
        stderr: StderrTo | None = None,
        tty: bool | Size = False,
        labels: Mapping[str, str] | None = None,
        max_output: int = MAX_OUTPUT,
    ) -> Output:
        """Run ``script`` by the sandbox's shell; everything else as in `exec`."""
        message = self._message(
            script,
            cwd,
            env,
            user,
            timeout,
            rlimits,
            stdin,
            stderr,
            tty,
            labels,
            on_hangup="kill",
            awaited=False,
        )
        return await self._collect(message, stdin, max_output)

    async def _collect(self, message: dict[str, Any], stdin: bytes | None, most: int) -> Output:
        stream = EventStream(Following(message, stdin=takes_input(message)), source=stdin)
        try:
            return await collect(stream, self._info.name, most)
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
        stderr: StderrTo | None = None,
        tty: bool | Size = False,
        labels: Mapping[str, str] | None = None,
        on_exit: OnExit = "kill",
    ) -> Process:
        """Start ``program`` and return when it runs; what it writes comes as events.

        ``stdin`` True gives `Process.stdin`, bytes are sent as they are, None is empty (a tty always has an input).
        ``on_exit`` says what leaving the block does: ``"kill"`` (the default) ends all that the command started, also
        when this program dies; ``"detach"`` leaves it running. All else as in `exec`.
        """
        hangup: Literal["keep", "kill"] = "kill" if on_exit == "kill" else "keep"
        message = self._message(
            [program, *args], cwd, env, user, timeout, rlimits, stdin, stderr, tty, labels, on_hangup=hangup
        )
        source = stdin if isinstance(stdin, bytes) else None
        stream = EventStream(Following(message, stdin=takes_input(message)), source=source)
        piped = stdin is True or (bool(tty) and stdin is None)
        process = Process(stream, self._info.name, on_exit=on_exit, has_stdin=piped)
        await begun(process)
        return process

    async def exec_detached(
        self,
        program: str,
        args: Sequence[str] = (),
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the sandbox keeps it, also without us
        rlimits: Mapping[str, Rlimit] | None = None,
        stderr: StderrTo | None = None,
        tty: bool | Size = False,
        labels: Mapping[str, str] | None = None,
    ) -> SessionInfo:
        """Start ``program`` and leave it running; `follow` comes back to its session. All else as in `exec`."""
        return await self._detached(
            self._message(
                [program, *args], cwd, env, user, timeout, rlimits, None, stderr, tty, labels, detach=True
            )
        )

    async def shell_detached(
        self,
        script: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the sandbox keeps it, also without us
        rlimits: Mapping[str, Rlimit] | None = None,
        stderr: StderrTo | None = None,
        tty: bool | Size = False,
        labels: Mapping[str, str] | None = None,
    ) -> SessionInfo:
        """Start ``script`` by the sandbox's shell and leave it running; all else as in `exec_detached`."""
        return await self._detached(
            self._message(script, cwd, env, user, timeout, rlimits, None, stderr, tty, labels, detach=True)
        )

    async def _detached(self, message: dict[str, Any]) -> SessionInfo:
        return (await call(request_of(message))).session

    def _message(
        self,
        what: str | Sequence[str],
        cwd: str | None,
        env: Mapping[str, str] | None,
        user: str | None,
        timeout: float | None,
        rlimits: Mapping[str, Rlimit] | None,
        stdin: bool | bytes | None,
        stderr: StderrTo | None,
        tty: bool | Size,
        labels: Mapping[str, str] | None,
        *,
        on_hangup: Literal["keep", "kill"] = "keep",
        detach: bool = False,
        awaited: bool = True,
    ) -> dict[str, Any]:
        return exec_message(
            self._info.uuid,
            script=what if isinstance(what, str) else None,
            argv=None if isinstance(what, str) else [*what],
            cwd=cwd,
            env=env,
            user=user,
            timeout=timeout,
            rlimits=limits(rlimits),
            stdin=stdin is True or isinstance(stdin, bytes),
            merge=_merged(stderr),
            tty=(tty if isinstance(tty, tuple) else _SIZE) if tty else None,
            labels=labels,
            on_hangup=on_hangup,
            detach=detach,
            awaited=awaited,
        )


def _merged(stderr: str | None) -> bool:
    """Whether stderr goes where stdout does. Raises `InvalidRequest`."""
    if stderr not in (None, "stdout"):
        raise InvalidRequest(f"stderr is None or 'stdout', not {stderr!r:.40}")
    return stderr is not None
