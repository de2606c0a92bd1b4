"""What the core tells about sandboxes, sessions, images and itself, as typed values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self

from sandtop.core.errors import CoreFailure

if TYPE_CHECKING:
    from collections.abc import Mapping


class _FromCore:
    """Reads a dataclass from the core's JSON. What this version does not know is left out."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]

    @classmethod
    def read(cls, data: Mapping[str, object]) -> Self:
        """The value that ``data`` describes. Raises `CoreFailure` when a field is missing."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        try:
            return cls(**known)
        except TypeError as error:
            raise CoreFailure(f"the core's answer lacks a field: {error}", hint="see its log") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxInfo(_FromCore):
    """A sandbox as it was when the core was asked.

    Attributes:
        state: creating, starting, running, paused, stopping, stopped, failed or lost.
        memory, disk: MiB.
        pid: of its machine's process, while it runs.
        reason: why it is in that state, in words.
        created_at, started_at: seconds since the epoch.
        sessions: how many sessions run in it.
        attention: why somebody should look at it, or None.
        attention_kind: ``failed``, ``lost``, ``trouble`` (machine, agent or logs), ``session`` (one ended badly),
            ``prompt`` (a program waits for somebody to type), ``silent`` (see docs/console.md); None without a reason.
        attention_session: the id of the session that it is about, or None.
        warnings: what of its identity (its name, hosts, machine-id …) could not be written at its start, and why.
        acknowledged: somebody said to have seen that it is failed or lost.
    """

    name: str
    uuid: str
    state: str
    image: str
    cpus: int
    memory: int
    disk: int
    network: str
    accelerator: str | None = None
    pid: int | None = None
    reason: str | None = None
    created_at: float
    started_at: float | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])
    env: dict[str, str] = field(default_factory=dict[str, str])
    workdir: str = "/"
    shell: str = "/bin/sh"
    user: str = "root"
    sessions: int = 0
    attention: str | None = None
    attention_kind: str | None = None
    attention_session: str | None = None
    warnings: list[str] = field(default_factory=list[str])
    acknowledged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRecord(_FromCore):
    """How a session ended.

    Attributes:
        exit_code: the exit status that a shell would give: its own, 128+N, 124 for a timeout, 125 to 127.
        reason: exited, signaled, timeout, oom, spawn (it never ran), vm-died or unknown (its agent made
            no sense).
        code: the exit code, of ``exited``.
        signal: the number of the signal that ended it.
        stage, errno, message: what failed, of ``spawn``; ``message`` says why also for ``vm-died``.
        stdout, stderr: how many bytes of it came.
        missing: how many bytes more its agent spoke of.
        duration_ms, cpu_us, memory_peak: milliseconds, microseconds, bytes; None when not known.
        source: who saw it, ``agent`` or ``core``.
    """

    exit_code: int
    reason: str
    code: int | None = None
    signal: int | None = None
    stage: str | None = None
    errno: int | None = None
    message: str | None = None
    stdout: int = 0
    stderr: int = 0
    duration_ms: int | None = None
    cpu_us: int | None = None
    memory_peak: int | None = None
    source: str = "agent"
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo(_FromCore):
    """A session as it was when the core was asked.

    Attributes:
        argv: its command line; of a very long one the beginning. Empty for a copy of files.
        argv_length: how many arguments there were.
        state: starting, running, exited, failed (it never ran) or lost (its machine died).
        exit_code, signal, reason: how it ended; None while it runs.
        started_at, ended_at: seconds since the epoch.
        stdout_bytes, stderr_bytes, stdin_bytes: how much it wrote, and how much input it took.
        left: how many processes it left running when it ended, and that still run.
        waiting: its program waits for somebody to type.
        attention: why somebody should look at it, or None: how it ended badly, or that it waits at a prompt.
        attached: how many clients follow it.
        input_holder: which of them may write, or None.
        acknowledged: somebody said to have seen how it ended.
    """

    id: str
    sandbox: str
    argv: list[str]
    argv_length: int = 0
    tty: bool
    state: str
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])
    pid: int | None = None
    left: int = 0
    waiting: bool = False
    attention: str | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    stdin_bytes: int = 0
    attached: int = 0
    input_holder: str | None = None
    acknowledged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo(_FromCore):
    """An image: ``size`` is in bytes, ``created_at`` in seconds since the epoch."""

    name: str
    digest: str
    size: int
    created_at: float
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreStatus(_FromCore):
    """The core: ``sandboxes`` it knows, ``running`` of them; ``started_at`` is in seconds since the epoch.

    ``standing_by``: machines that are no sandboxes yet, and will be the next ones of their shape.
    """

    pid: int
    version: str
    started_at: float
    sandboxes: int
    running: int
    socket: str
    home: str
    standing_by: int = 0
