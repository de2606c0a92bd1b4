"""Sandboxes and sessions as the console shows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from sandtop.core.phrases import ending
from sandtop.tui.text import command_line

if TYPE_CHECKING:
    from sandtop.core.client.link.records import SandboxInfo, SessionInfo


class Urgency(IntEnum):
    """How much a sandbox needs somebody, most urgent first: the default order of the list. What needs somebody is the
    core's to say (``attention_kind``)."""

    FAILED = 0
    LOST = 1
    TROUBLE = 2
    FAILURE = 3
    """One of its sessions ended badly and nobody has acknowledged it."""
    PROMPT = 4
    SILENT = 5
    BUSY = 6
    RUNNING = 7
    PAUSED = 8
    STOPPED = 9


@dataclass(frozen=True, slots=True)
class Need:
    """Why somebody should look, in a few words; empty when nobody needs to."""

    urgency: Urgency
    text: str = ""

    @property
    def wants_someone(self) -> bool:
        return self.urgency <= Urgency.SILENT


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session with what the console found out by watching it.

    Attributes:
        last_output: when output was last seen to come, or None before any was.
        rate: bytes a second, both streams.
    """

    info: SessionInfo
    last_output: float | None = None
    rate: float = 0.0

    @property
    def id(self) -> str:
        return self.info.id

    @property
    def command(self) -> str:
        return command_line(self.info.argv)

    @property
    def ended(self) -> bool:
        return self.info.state in ("exited", "failed", "lost")

    @property
    def failed(self) -> bool:
        """It ended, and not well."""
        return self.ended and self.info.exit_code != 0

    @property
    def needs_someone(self) -> bool:
        return self.info.attention is not None

    @property
    def badge(self) -> str:
        """How it is or ended, in a word or two: ``running``, ``at a prompt``, ``exit 1``, ``signal 9``, ``timeout``."""
        info = self.info
        if not self.ended:
            return "at a prompt" if info.attention else info.state
        return ending(info.reason, info.exit_code, info.signal) if info.reason else info.state


@dataclass(frozen=True, slots=True)
class SandboxView:
    """A sandbox with its sessions, oldest first, and its use of the host.

    Attributes:
        cpu: percent of one host core, newest last.
        memory: bytes resident, newest last.
        pending: what was asked of it and has not come back yet, such as ``stopping``.
    """

    info: SandboxInfo
    sessions: tuple[SessionView, ...] = ()
    cpu: tuple[float, ...] = ()
    memory: tuple[float, ...] = ()
    need: Need = Need(Urgency.RUNNING)
    pending: str = ""

    @property
    def uuid(self) -> str:
        return self.info.uuid

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def has_failed(self) -> bool:
        """Its machine could not start, or died, and nobody has said to have seen it."""
        return self.info.state in ("failed", "lost") and not self.info.acknowledged

    @property
    def last_output(self) -> float | None:
        return max((at for s in self.sessions if (at := s.last_output) is not None), default=None)

    @property
    def last_ended(self) -> SessionView | None:
        """The session that ended last."""
        ended = [session for session in self.sessions if session.ended]
        return max(ended, key=lambda session: session.info.ended_at or 0.0) if ended else None


@dataclass(frozen=True, slots=True)
class FleetView:
    """Everything at one moment.

    Attributes:
        at: when the core last answered; 0 before it did.
        version: counts the answers.
        trouble: why the last look failed, or empty.
    """

    sandboxes: tuple[SandboxView, ...] = ()
    at: float = 0.0
    version: int = 0
    trouble: str = ""

    def find(self, uuid: str) -> SandboxView | None:
        return next((sandbox for sandbox in self.sandboxes if sandbox.info.uuid == uuid), None)

    def session(self, key: str) -> tuple[SandboxView, SessionView] | None:
        for sandbox in self.sandboxes:
            for session in sandbox.sessions:
                if session.info.id == key:
                    return sandbox, session
        return None

    @property
    def troubled(self) -> tuple[SandboxView, ...]:
        """Those that need somebody, most urgent first."""
        needing = [sandbox for sandbox in self.sandboxes if sandbox.need.wants_someone]
        return tuple(sorted(needing, key=lambda sandbox: (sandbox.need.urgency, sandbox.info.name)))
