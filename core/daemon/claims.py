"""Who may type into a session: what a client asks for, and whether it gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import WrongState
from sandtop.core.sessions import printable

if TYPE_CHECKING:
    from sandtop.core.contract.session import SessionExec, SessionFollow
    from sandtop.core.sessions import Session

MAX_LABEL: Final = 60
"""Characters of what people know a client by."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A client's wish for the input.

    Attributes:
        wanted: whether it has one at all.
        client: its own id, the same on each of its connections.
        label: what people know it by.
        take: take it from whoever holds it.
        resumed: an earlier connection of this client held it, until the core died.
    """

    wanted: bool
    client: str
    label: str
    take: bool
    resumed: bool

    def refusal(self, session: Session) -> str | None:
        """Why this client does not get the input now, in words; None when it does.

        A client that resumes goes on from the last input that the agent acknowledged. Had another client typed since,
        that place would be in the middle of the other's input; so a client resumes only if it was the last holder.
        """
        holder = session.input.holder
        if self.take:
            return None
        if holder is not None and holder.client != self.client:
            return f"{holder.label} holds the input"
        if self.resumed and session.input.last_holder != self.client:
            return "another client held the input meanwhile"
        return None

    def check(self, session: Session, sandbox: str) -> None:
        """Raises `WrongState` when the input is wanted and somebody else has it."""
        why = self.refusal(session) if self.wanted and not self.resumed else None
        if why is not None:
            raise WrongState(
                f"{why} of session {session.row.id}",
                sandbox=sandbox,
                hint="--take takes it over; attach --read-only watches",
            )


def claim_of(request: SessionExec | SessionFollow, peer: int, *, client: str, wanted: bool) -> Claim:
    """The claim in ``request``; ``client`` and ``wanted`` where it does not say, ``peer`` the process that asks."""
    return Claim(
        wanted=wanted if request.input is None else request.input,
        client=request.client or client,
        label=printable(request.label)[:MAX_LABEL] if request.label else f"pid {peer}",
        take=request.take,
        resumed=request.resumed,
    )
