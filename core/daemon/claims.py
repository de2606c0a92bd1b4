"""Who may type into a session: what a client asks for, and whether it gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import InvalidRequest, WrongState
from sandtop.core.sessions import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.sessions import Session

_MAX_CLIENT: Final = 64
_MAX_LABEL: Final = 60


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
        """Why the input is not this client's now; None when it is. Whoever resumes must have been the last to hold it:
        what it typed and nobody acknowledged counts from there."""
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


def claim_of(request: Mapping[str, object], peer: int, *, client: str, wanted: bool) -> Claim:
    """The claim in ``request``; ``client`` and ``wanted`` where it does not say, ``peer`` the process that asks.

    Raises `InvalidRequest`.
    """
    own = request.get("client")
    if own is not None and (not isinstance(own, str) or not 0 < len(own) <= _MAX_CLIENT):
        raise InvalidRequest(f"client is a text of 1 to {_MAX_CLIENT} characters")
    label = request.get("label")
    asked = request.get("input")
    return Claim(
        wanted=wanted if asked is None else asked is True,
        client=own or client,
        label=printable(label)[:_MAX_LABEL] if isinstance(label, str) and label else f"pid {peer}",
        take=request.get("take") is True,
        resumed=request.get("resumed") is True,
    )
