"""What there is to see of what needs somebody, one piece after the other: the order in which ``e`` goes through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandtop.tui.store.model import Need, Urgency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.tui.store import FleetView, SandboxView, SessionView


@dataclass(frozen=True, slots=True)
class Evidence:
    """One piece: a session's log or screen, or without a ``session`` the sandbox itself."""

    sandbox: SandboxView
    session: SessionView | None = None

    @property
    def key(self) -> str:
        """What it is known by."""
        return self.sandbox.uuid if self.session is None else self.session.id


def evidence_in(view: FleetView) -> list[Evidence]:
    """All of it, the most urgent first, and the newest of what is as urgent."""
    found: list[tuple[tuple[int, float], str, Evidence]] = []
    for sandbox in view.troubled:
        for need, one in _of(sandbox):
            found.append((need.order, sandbox.name, one))
    return [one for _, _, one in sorted(found, key=lambda entry: entry[:2])]


def _of(sandbox: SandboxView) -> list[tuple[Need, Evidence]]:
    asking = [session for session in sandbox.sessions if session.needs_someone]
    pieces = [
        (
            Need(Urgency.FAILURE if one.ended else Urgency.PROMPT, one.badge, one.info.ended_at),
            Evidence(sandbox, one),
        )
        for one in asking
    ]
    if sandbox.need.urgency is Urgency.ALERT:
        wrote = next((one for one in sandbox.sessions if one.id == sandbox.info.attention_session), None)
        pieces.append((sandbox.need, Evidence(sandbox, wrote)))
    elif not pieces or sandbox.need.urgency not in (Urgency.FAILURE, Urgency.PROMPT):
        pieces.append((sandbox.need, Evidence(sandbox)))
    return pieces


def after(found: Sequence[Evidence], key: str | None, step: int, *, beside: str | None = None) -> Evidence:
    """The piece ``step`` (1 or -1) after that with ``key``, and around.

    When none has it: the first of the sandbox ``beside``, else the first or the last of all.
    """
    keys = [one.key for one in found]
    if key in keys:
        return found[(keys.index(key) + step) % len(found)]
    own = next((one for one in found if one.sandbox.uuid == beside), None)
    return own or found[0 if step > 0 else -1]
