"""The timeline of failures: sessions that ended badly, and sandboxes that failed or were lost, acknowledged or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandtop.core.phrases import ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandtop.core.contract.sandbox import SandboxInfo
    from sandtop.core.contract.session_results import SessionInfo


@dataclass(frozen=True, slots=True)
class Failure:
    """One of them.

    Attributes:
        at: when it ended, seconds since the epoch; None where that is not known.
        session: the session's id; None when the sandbox itself failed.
        ended: how, in a word or two: ``exit 3``, ``oom``, ``failed``.
        cause: why, in a line, where that is known.
        argv: the command line; empty for a sandbox.
        seconds: how long it ran.
        memory_peak, cpu_seconds: what it used at most, in bytes, and in all; None where not known.
        acknowledged: somebody said to have seen it.
    """

    at: float | None
    sandbox: str
    session: str | None
    ended: str
    cause: str | None
    argv: Sequence[str]
    seconds: float | None
    memory_peak: int | None
    cpu_seconds: float | None
    acknowledged: bool

    def to_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


def timeline(sandboxes: Iterable[SandboxInfo], sessions: Iterable[SessionInfo]) -> list[Failure]:
    """All failures of ``sandboxes`` and ``sessions``, the newest first."""
    found = [of_sandbox(one) for one in sandboxes if one.state in ("failed", "lost")]
    found += [of_session(one) for one in sessions if has_failed(one)]
    return sorted(found, key=lambda failure: -(failure.at or 0.0))


def has_failed(session: SessionInfo) -> bool:
    """Whether ``session`` ended, and not with 0."""
    return session.state in ("exited", "failed", "lost") and session.exit_code != 0


def of_sandbox(info: SandboxInfo) -> Failure:
    """The failure of a sandbox that failed or was lost."""
    return Failure(
        info.changed_at, info.name, None, info.state, info.reason, (), None, None, None, info.acknowledged
    )


def of_session(info: SessionInfo) -> Failure:
    """The failure of a session that ended badly."""
    record = info.record
    ended, began = info.ended_at, info.started_at
    duration, cpu = (record.duration_ms, record.cpu_us) if record else (None, None)
    seconds = ended - began if ended is not None and began is not None else None
    return Failure(
        at=ended,
        sandbox=info.sandbox,
        session=info.id,
        ended=ending(info.reason, info.exit_code, info.signal),
        cause=record.cause if record else None,
        argv=tuple(info.argv),
        seconds=seconds if duration is None else duration / 1000,
        memory_peak=record.memory_peak if record else None,
        cpu_seconds=None if cpu is None else cpu / 1e6,
        acknowledged=info.acknowledged,
    )
