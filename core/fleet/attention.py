"""Why somebody should look at a sandbox: one answer, for the console, the CLI and programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sandtop.core.phrases import age, command_line, ending, is_bare_shell, told
from sandtop.core.sessions.records import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandtop.core.fleet.sandbox import Sandbox
    from sandtop.core.sessions import Session
    from sandtop.core.store import AlertRow

SILENCE_LABEL: Final = "sandtop.silence"
"""A sandbox with this label says after how many seconds without output somebody should look."""
PROMPT: Final = "waiting at a prompt"
_COMMAND: Final = 100


class Why(StrEnum):
    """The kinds, the most urgent first."""

    FAILED = "failed"
    LOST = "lost"
    TROUBLE = "trouble"
    """Its machine, agent or logs: the text says what."""
    SESSION = "session"
    """A session ended badly."""
    ALERT = "alert"
    """A rule of the user's own holds."""
    PROMPT = "prompt"
    """A program waits for somebody to type, and nobody is there."""
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Attention:
    """What somebody should look at.

    Attributes:
        text: why, in a few words.
        session: the id of the session that it is about; None for the sandbox itself.
        at: since when it is so, seconds since the epoch; None where that is not known.
    """

    why: Why
    text: str
    session: str | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    """What of a session its attention depends on.

    Attributes:
        ended: how it ended, in a word or two; empty while it runs.
        cause: why it ended badly, where that is known; see `sandtop.core.sessions.cause`.
        failed: it ended, and not well.
        seen: somebody has seen how it ended, or that it waits.
        waiting: who in it waits for somebody to type: ``leader``, ``other``, or nobody.
        held: somebody holds its input.
        at: when it ended, or when it wrote last; seconds since the epoch, 0 where that is not known.
    """

    id: str
    argv: Sequence[str]
    ended: str = ""
    cause: str | None = None
    failed: bool = False
    seen: bool = False
    waiting: str = ""
    held: bool = False
    at: float = 0.0

    @property
    def text(self) -> str | None:
        """Why somebody should look at it, in a few words; None when nobody need.

        A shell that was opened to be typed into and waits itself, rather than a program in it, asks for nobody.
        """
        if self.seen:
            return None
        if self.ended:
            return told(self.ended, self.cause) if self.failed else None
        waits = self.waiting == "other" or (self.waiting == "leader" and not is_bare_shell(self.argv))
        return PROMPT if waits and not self.held else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxFacts:
    """What of a sandbox its attention depends on.

    Attributes:
        reason: why it is in its state.
        seen: somebody has seen that it failed.
        trouble: what is wrong with its machine, agent or logs.
        sessions: those that run, and those that ended badly.
        alerts: the user's own rules that hold, the newest first.
        heard_at: when it started, or any of its sessions wrote last; seconds since the epoch.
        at: when it came into its state; None where that is not known.
    """

    state: str
    reason: str = ""
    seen: bool = False
    trouble: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    sessions: Sequence[SessionFacts] = ()
    alerts: Sequence[AlertRow] = ()
    heard_at: float = 0.0
    at: float | None = None


def judge(facts: SandboxFacts, now: float) -> Attention | None:
    """The most urgent reason to look; None when there is none. ``now``: seconds since the epoch."""
    if facts.state in ("failed", "lost") and not facts.seen:
        return Attention(Why(facts.state), facts.reason or facts.state, at=facts.at)
    if facts.trouble is not None:
        return Attention(Why.TROUBLE, facts.trouble)
    asking = [session for session in facts.sessions if session.text is not None]
    ended = sorted((each for each in asking if each.ended), key=lambda each: each.at, reverse=True)
    if ended:
        return _about(Why.SESSION, ended)
    if alerts := [alert for alert in facts.alerts if not alert.seen]:
        return _alerted(alerts)
    if facts.state != "running":
        return None
    return _about(Why.PROMPT, asking) if asking else _silence(facts, now)


def _about(why: Why, sessions: Sequence[SessionFacts]) -> Attention:
    """The first of ``sessions``, and how many more there are. Its command stands for a cause that is not known."""
    first = sessions[0]
    said = first.text
    if first.cause is None:
        said = f"{said}: {printable(' '.join(command_line(first.argv).split()))[:_COMMAND]}"
    more = f" (+{len(sessions) - 1})" if len(sessions) > 1 else ""
    return Attention(why, f"{said}{more}", first.id, first.at or None)


def _alerted(alerts: Sequence[AlertRow]) -> Attention:
    """The first of ``alerts``, and how many more there are."""
    first = alerts[0]
    more = f" (+{len(alerts) - 1})" if len(alerts) > 1 else ""
    return Attention(Why.ALERT, f"{told(first.name, first.text)}{more}", first.session, first.at)


def _silence(facts: SandboxFacts, now: float) -> Attention | None:
    """For a sandbox that wrote nothing for as many seconds as its label `SILENCE_LABEL` says."""
    wanted = facts.labels.get(SILENCE_LABEL, "")
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) <= 9):
        return None
    quiet = now - facts.heard_at
    return (
        Attention(Why.SILENT, f"silent for {age(quiet)}", at=facts.heard_at) if quiet >= int(wanted) else None
    )


def of_sandbox(sandbox: Sandbox, now: float) -> Attention | None:
    """See `judge`."""
    sessions, row = sandbox.sessions, sandbox.row
    heard = [row.started_at or 0.0]
    if SILENCE_LABEL in row.config.labels:
        heard += [max(each.output.heard_at, each.row.started_at or 0.0) for each in sessions.all()]
    facts = SandboxFacts(
        state=row.state,
        reason=row.reason,
        seen=row.acknowledged_at is not None,
        trouble=sandbox.trouble,
        labels=row.config.labels,
        sessions=[facts_of(each) for each in (*sessions.failures, *sessions.open)],
        alerts=sandbox.alerts.all(),
        heard_at=max(heard),
        at=row.changed_at,
    )
    return judge(facts, now)


def facts_of(session: Session) -> SessionFacts:
    """The facts of a session of this core."""
    row, record = session.row, session.record
    if record is None:
        return SessionFacts(
            id=row.id,
            argv=row.argv,
            seen=session.prompt_seen,
            waiting="" if session.ending else session.waiting,
            held=session.input.holder is not None,
        )
    return SessionFacts(
        id=row.id,
        argv=row.argv,
        ended=ending(record.reason, record.exit_status, record.signal),
        cause=record.cause,
        failed=record.exit_status != 0,
        seen=row.acknowledged_at is not None,
        at=row.ended_at or 0.0,
    )
