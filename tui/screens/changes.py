"""What can be done to sandboxes as a whole: what it is called, for which it makes sense, and what it takes away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sandtop.tui.text import age, neutral, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandtop.tui.store import SandboxView

_UP: Final = frozenset({"creating", "starting", "running", "paused"})
_DOWN: Final = frozenset({"stopped", "failed", "lost"})


@dataclass(frozen=True, slots=True)
class Change:
    """One of them.

    Attributes:
        verb: what the core is asked for.
        doing: what is said while it goes on.
        done: what is said when it was done.
        in_vain: the states in which there is nothing to do.
        loses: what a sandbox loses by it, for the question that comes first; None: there is no question.
    """

    verb: Literal["start", "stop", "restart", "pause", "resume", "remove"]
    doing: str
    done: str
    in_vain: frozenset[str] = frozenset()
    loses: Callable[[SandboxView, float], str] | None = None

    def fitting(self, sandboxes: Sequence[SandboxView]) -> tuple[list[SandboxView], str]:
        """The ``sandboxes`` for which the change makes sense, and what to say of the others.

        The others are left alone: asking for them would give one error each, to be dismissed one by one.
        """
        others = [sandbox for sandbox in sandboxes if sandbox.info.state in self.in_vain]
        if not others:
            return list(sandboxes), ""
        first = f"{neutral(others[0].name)} is {others[0].info.state}"
        more = f", and {len(others) - 1} more" if len(others) > 1 else ""
        return [one for one in sandboxes if one not in others], f"nothing to {self.verb}: {first}{more}"


def _running(sandbox: SandboxView) -> str:
    running = [session for session in sandbox.sessions if not session.ended]
    if not running:
        return "nothing runs in it"
    return f"{plural(len(running), 'session')} running: {running[-1].command}"


def _ended_by(sandbox: SandboxView, now: float) -> str:
    return f"{sandbox.name}: {_running(sandbox)}; what was written stays"


def _lost_by_removal(sandbox: SandboxView, now: float) -> str:
    made = age(now - sandbox.info.created_at)
    return f"{sandbox.name}, made {made} ago: all that was written in it, its logs; {_running(sandbox)}"


START: Final = Change("start", "starting", "started", in_vain=_UP)
STOP: Final = Change("stop", "stopping", "stopped", in_vain=_DOWN, loses=_ended_by)
RESTART: Final = Change("restart", "restarting", "restarted", loses=_ended_by)
PAUSE: Final = Change("pause", "pausing", "paused", in_vain=_DOWN | {"paused"})
RESUME: Final = Change("resume", "resuming", "resumed")
REMOVE: Final = Change("remove", "removing", "removed", loses=_lost_by_removal)
LOSING: Final = tuple(change.verb for change in (STOP, RESTART, REMOVE))
"""The changes that take something away: a question comes first, unless the operator wants none."""
