"""Why somebody should look at a sandbox: one answer, for the console, the CLI and programs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sandtop.core.fleet.state import State
from sandtop.core.phrases import age, command_line, ending, is_bare_shell
from sandtop.core.sessions.records import printable

if TYPE_CHECKING:
    from sandtop.core.fleet.sandbox import Sandbox
    from sandtop.core.sessions import Session

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
    PROMPT = "prompt"
    """A program waits for somebody to type, and nobody is there."""
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Attention:
    """What somebody should look at.

    Attributes:
        text: why, in a few words.
        session: the id of the session that it is about; None for the sandbox itself.
    """

    why: Why
    text: str
    session: str | None = None


def of_sandbox(sandbox: Sandbox, now: float) -> Attention | None:
    """The most urgent reason to look at ``sandbox``; None when there is none. ``now``: seconds since the epoch."""
    failed = sandbox.state in (State.FAILED, State.LOST)
    if failed and sandbox.row.acknowledged_at is None:
        why = Why.FAILED if sandbox.state is State.FAILED else Why.LOST
        return Attention(why, sandbox.row.reason or sandbox.state.value)
    if sandbox.trouble is not None:
        return Attention(Why.TROUBLE, sandbox.trouble)
    return _of_failures(sandbox) or _of_prompts(sandbox) or _of_silence(sandbox, now)


def of_session(session: Session) -> str | None:
    """Why somebody should look at a session, in a few words; None when nobody need."""
    if session.asks:
        record = session.record
        assert record is not None
        return ending(record.reason, record.exit_status, record.signal)
    return PROMPT if _at_a_prompt(session) else None


def _of_failures(sandbox: Sandbox) -> Attention | None:
    failures = sandbox.sessions.failures
    if not failures:
        return None
    latest = max(failures, key=lambda session: session.row.ended_at or 0.0)
    more = f" (+{len(failures) - 1})" if len(failures) > 1 else ""
    return Attention(Why.SESSION, f"{of_session(latest)}: {_command(latest)}{more}", latest.row.id)


def _of_prompts(sandbox: Sandbox) -> Attention | None:
    if sandbox.state is not State.RUNNING:
        return None
    waiting = [session for session in sandbox.sessions.open if _at_a_prompt(session)]
    if not waiting:
        return None
    more = f" (+{len(waiting) - 1})" if len(waiting) > 1 else ""
    return Attention(Why.PROMPT, f"{PROMPT}: {_command(waiting[0])}{more}", waiting[0].row.id)


def _at_a_prompt(session: Session) -> bool:
    """Whether a program waits for somebody to type, and nobody is about to.

    A shell that was opened to be typed into and waits itself, rather than a program in it, asks for nobody.
    """
    if session.ending or not session.waiting or session.prompt_seen or session.input_holder is not None:
        return False
    return session.waiting == "other" or not is_bare_shell(session.row.argv)


def _of_silence(sandbox: Sandbox, now: float) -> Attention | None:
    """For a running sandbox that is labelled to speak."""
    wanted = sandbox.row.config.labels.get(SILENCE_LABEL, "")
    if sandbox.state is not State.RUNNING or not (wanted.isascii() and wanted.isdigit() and len(wanted) <= 9):
        return None
    heard = [sandbox.row.started_at or 0.0]
    heard += [max(session.heard_at, session.row.started_at or 0.0) for session in sandbox.sessions.all()]
    quiet = now - max(heard)
    return Attention(Why.SILENT, f"silent for {age(quiet)}") if quiet >= int(wanted) else None


def _command(session: Session) -> str:
    return printable(" ".join(command_line(session.row.argv).split()))[:_COMMAND]
