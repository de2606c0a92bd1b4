"""Sandboxes and sessions, with what the console found out by watching them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from sandtop.core.phrases import ending
from sandtop.tui.text import command_line, neutral, one_line

from .usage import NO_HOST_USAGE, NO_USAGE

if TYPE_CHECKING:
    from sandtop.core.client.sdk import Happening, SandboxInfo, SessionInfo

    from .usage import HostUsage, Usage


class Urgency(IntEnum):
    """How urgently a sandbox needs somebody, the most urgent first: the default order of the list.

    Whether one needs somebody at all is judged by the core (``attention_kind``).
    """

    FAILED = 0
    LOST = 1
    TROUBLE = 2
    FAILURE = 3
    """One of its sessions ended badly and nobody has acknowledged it."""
    ALERT = 4
    """A rule of the configuration holds."""
    PROMPT = 5
    SILENT = 6
    BUSY = 7
    RUNNING = 8
    PAUSED = 9
    STOPPED = 10


@dataclass(frozen=True, slots=True)
class Need:
    """Why somebody should look at a sandbox, and since when. ``text`` is empty when nobody needs to."""

    urgency: Urgency
    text: str = ""
    at: float | None = None

    @property
    def wants_someone(self) -> bool:
        """Whether somebody should look."""
        return self.urgency <= Urgency.SILENT

    @property
    def order(self) -> tuple[int, float]:
        """Where it comes: the most urgent first, and the newest of those that are as urgent."""
        return self.urgency, -(self.at or 0.0) if self.wants_someone else 0.0


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session.

    Attributes:
        last_output: when output came last; None before any did.
        rate: bytes a second, of stdout and stderr together.
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
    def doing(self) -> str:
        """What it does now: on a terminal the command line of the program in front, else its own."""
        front = one_line(self.info.foreground or "")
        if not front or self.ended or one_line(" ".join(self.info.argv)).startswith(front):
            return self.command
        return neutral(front)

    @property
    def ended(self) -> bool:
        return self.info.state in ("exited", "failed", "lost")

    @property
    def failed(self) -> bool:
        """Whether it ended with another exit code than 0."""
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
    """A sandbox with its sessions, the oldest first, and what its machine uses of the host.

    Attributes:
        usage: what it uses.
        pending: the change that is under way, such as ``stopping``; empty when there is none.
        events: what happened to it last beside its sessions, oldest first.
    """

    info: SandboxInfo
    sessions: tuple[SessionView, ...] = ()
    usage: Usage = NO_USAGE
    need: Need = Need(Urgency.RUNNING)
    pending: str = ""
    events: tuple[Happening, ...] = ()

    @property
    def uuid(self) -> str:
        return self.info.uuid

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def has_failed(self) -> bool:
        """Whether its machine could not start, or died, and nobody has acknowledged that."""
        return self.info.state in ("failed", "lost") and not self.info.acknowledged

    @property
    def asks_itself(self) -> bool:
        """Whether there is something to acknowledge of it beside its sessions: its failure, or alerts."""
        return self.has_failed or any(not alert.acknowledged for alert in self.info.alerts)

    @property
    def cpu(self) -> float | None:
        """What its machine takes of the host's processors, in percent of one; None where that is not known."""
        return self.usage.stats.cpu if self.usage.stats is not None else None

    @property
    def memory_percent(self) -> float | None:
        """The memory that it uses, as the guest sees it, in percent of what it has; None where that is not known."""
        stats = self.usage.stats
        if stats is None or stats.memory is None or not stats.memory_limit:
            return None
        return stats.memory / stats.memory_limit * 100

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
    """All sandboxes at one moment.

    Attributes:
        at: when the core last answered; 0 before its first answer.
        version: goes up whenever a view is made.
        trouble: why the core did not answer when last asked; empty if it did.
        host: what the host has.
    """

    sandboxes: tuple[SandboxView, ...] = ()
    at: float = 0.0
    version: int = 0
    trouble: str = ""
    host: HostUsage = NO_HOST_USAGE

    def find(self, uuid: str) -> SandboxView | None:
        """The sandbox with that uuid, or None."""
        return next((sandbox for sandbox in self.sandboxes if sandbox.info.uuid == uuid), None)

    def session(self, key: str) -> tuple[SandboxView, SessionView] | None:
        """The session with the id ``key``, and its sandbox; or None."""
        for sandbox in self.sandboxes:
            for session in sandbox.sessions:
                if session.info.id == key:
                    return sandbox, session
        return None

    @property
    def troubled(self) -> tuple[SandboxView, ...]:
        """The sandboxes that need somebody, the most urgent first."""
        needing = [sandbox for sandbox in self.sandboxes if sandbox.need.wants_someone]
        return tuple(sorted(needing, key=lambda sandbox: (sandbox.need.order, sandbox.info.name)))
