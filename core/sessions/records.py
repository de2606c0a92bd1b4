"""Exit records as the core checks and stores them: how a session ended."""

from __future__ import annotations

import dataclasses
import errno as errno_names
import os
import signal as signal_names
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, cast

from sandtop.agent.wire import ProtocolError
from sandtop.core.errors import (
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    EXIT_SANDTOP_FAILED,
    EXIT_TIMEOUT,
)
from sandtop.core.phrases import command_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_AGENT_REASONS: Final = frozenset({"exited", "signaled", "timeout", "oom", "spawn"})
_NEEDED: Final = {"exited": "code", "signaled": "signal", "spawn": "stage"}
_NOT_FOUND: Final = (errno_names.ENOENT, errno_names.ENOTDIR)
_MAX_TEXT: Final = 500
_BRIEF: Final = 200
"""Characters of a command line in an event."""


@dataclass(frozen=True, slots=True)
class SessionExit:
    """How a session ended: the exit record of docs/protocol.md.

    Attributes:
        reason: ``exited``, ``signaled``, ``timeout``, ``oom``, ``spawn`` (the program never ran), ``vm-died``, or
            ``unknown`` (the agent's record makes no sense).
        code: the exit code, for ``exited``.
        signal: the number of the signal that ended it, where one did.
        stage, errno, message: what failed, for ``spawn``; ``message`` says why also for ``vm-died`` and ``unknown``.
        stdout, stderr: the streams' lengths in bytes: at first as the agent says, once stored as they are in the log.
        missing: bytes that the agent counted in them and that never came.
        cause: why it ended badly, in a line, as the core found out; see `sandtop.core.sessions.cause`.
        duration_ms, cpu_us, memory_peak: milliseconds, microseconds, bytes; None where not known.
        source: whether the ``agent`` or the ``core`` made the record.
    """

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
    cause: str | None = None

    def with_lengths(self, stdout: int, stderr: int) -> SessionExit:
        """This record with the lengths that the output has in the log, and what is `missing` to the agent's."""
        missing = max(0, self.stdout - stdout) + max(0, self.stderr - stderr)
        return dataclasses.replace(self, stdout=stdout, stderr=stderr, missing=missing)

    @property
    def exit_status(self) -> int:
        """The exit status of a command line that ran the session: as the shells, env(1) and timeout(1) have it."""
        if self.missing:
            return EXIT_SANDTOP_FAILED
        if self.reason == "exited":
            return self.code or 0
        if self.reason == "timeout":
            return EXIT_TIMEOUT
        if self.reason in ("signaled", "oom"):
            return 128 + (self.signal or signal_names.SIGKILL)
        if self.reason == "spawn" and self.stage == "exec":
            return EXIT_NOT_FOUND if self.errno in _NOT_FOUND else EXIT_NOT_EXECUTABLE
        return EXIT_SANDTOP_FAILED

    @property
    def state(self) -> str:
        """The state of a session that ended so: ``exited``, ``failed`` or ``lost``."""
        return {"spawn": "failed", "vm-died": "lost", "unknown": "lost"}.get(self.reason, "exited")

    def to_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """The record that `to_json` gave. Fields that only a newer version knows are dropped."""
        return cls(**cast("dict[str, Any]", {name: data[name] for name in cls.__slots__ if name in data}))

    @classmethod
    def from_agent(cls, data: Mapping[str, object]) -> Self:
        """The record in an agent's message. Raises ProtocolError for nonsense: a guest's root can forge it."""
        reason = data.get("reason")
        if not isinstance(reason, str) or reason not in _AGENT_REASONS:
            raise ProtocolError("an exit record with an unknown reason")
        needed = _NEEDED.get(reason)
        if needed is not None and data.get(needed) is None:
            raise ProtocolError(f"an exit record of {reason} without {needed}")
        return cls(
            reason=reason,
            code=_number(data, "code", 0, 255),
            signal=_number(data, "signal", 1, signal_names.NSIG),
            stage=_text(data, "stage"),
            errno=_number(data, "errno", 0, 4096),
            message=_text(data, "message"),
            stdout=_number(data, "stdout") or 0,
            stderr=_number(data, "stderr") or 0,
            duration_ms=_number(data, "duration_ms"),
            cpu_us=_number(data, "cpu_us"),
            memory_peak=_number(data, "memory_peak"),
        )


def spawn_message(record: SessionExit, argv: list[str], cwd: str | None) -> str:
    """One line on why the program of ``argv`` never ran: the agent's own where it gave one."""
    if record.message:
        return record.message
    program = argv[0] if argv else "the program"
    why = os.strerror(record.errno) if record.errno else "unknown reason"
    if record.stage == "exec":
        if record.errno in _NOT_FOUND:
            return f"{program}: not found"
        return f"{program}: cannot be executed: {why}"
    if record.stage == "cwd":
        return f"the working directory {cwd or '(default)'} cannot be used: {why}"
    return f"{program}: could not be started ({record.stage}): {why}"


def _number(data: Mapping[str, object], name: str, low: int = 0, high: int = (1 << 63) - 1) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ProtocolError(f"an exit record with the {name} {value!r:.40}")
    return value


def _text(data: Mapping[str, object], name: str) -> str | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ProtocolError(f"an exit record whose {name} is not text")
    return printable(value)


def brief(argv: Sequence[str]) -> str:
    """A command line in one line that is not long, fit for a terminal."""
    return printable(" ".join(command_line(argv).split()))[:_BRIEF]


def printable(text: str) -> str:
    """``text`` from a guest made fit for an operator's terminal: one line, bounded, without control characters."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MAX_TEXT])
