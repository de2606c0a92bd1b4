"""The life of a sandbox, as an explicit table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from sandtop.core.errors import CoreFailure, WrongState


class State(StrEnum):
    """What a sandbox is doing.

    ``FAILED``: its machine could not start, or died while the core watched. ``LOST``: it was gone when the core came
    back. Both can be started again and removed.
    """

    CREATING = "creating"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


_ENDINGS: Final = frozenset({State.STOPPED, State.FAILED, State.LOST})
TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.CREATING: frozenset({State.STARTING, State.FAILED}),
    State.STARTING: frozenset({State.RUNNING, State.STOPPING}) | _ENDINGS,
    State.RUNNING: frozenset({State.PAUSED, State.STOPPING}) | _ENDINGS,
    State.PAUSED: frozenset({State.RUNNING, State.STOPPING}) | _ENDINGS,
    State.STOPPING: _ENDINGS,
    State.STOPPED: frozenset({State.STARTING}),
    State.FAILED: frozenset({State.STARTING}),
    State.LOST: frozenset({State.STARTING}),
}
ALIVE: Final = frozenset({State.STARTING, State.RUNNING, State.PAUSED, State.STOPPING})
"""States in which a machine may exist."""

_HINTS: Final[dict[State, str]] = {
    State.CREATING: "it is being created: wait a moment",
    State.STARTING: "it is starting: wait a moment",
    State.RUNNING: "stop it first: sandtop stop {name}",
    State.PAUSED: "resume it first: sandtop resume {name}",
    State.STOPPING: "it is stopping: wait a moment",
    State.STOPPED: "start it first: sandtop start {name}",
    State.FAILED: "start it again: sandtop start {name}",
    State.LOST: "start it again: sandtop start {name}",
}


def check_transition(old: State, new: State) -> None:
    """Raises `CoreFailure` for a step that the table does not have: a fault of ours, not of the user."""
    if new not in TRANSITIONS[old]:
        raise CoreFailure(f"a sandbox cannot go from {old} to {new}")


def require(name: str, state: State, allowed: frozenset[State], doing: str) -> None:
    """Raises `WrongState`, with what to do about it, when ``doing`` something is not possible in ``state``."""
    if state not in allowed:
        raise WrongState(
            f"cannot {doing} {name}: it is {state}", sandbox=name, hint=_HINTS[state].format(name=name)
        )
