"""Who takes what an agent says: of its sessions, and of what its guest's programs ask for outside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.agent.wire import Credit, Data
    from sandtop.core.channel.connections import Link


class Listener(Protocol):
    """Takes what the agent says. Methods must not block. When one raises ProtocolError the link is closed.

    ``message``, ``data`` and ``stdin_credit`` return whether anything changed. An agent that keeps sending what changes
    nothing is read less often.
    """

    def link_up(self, hello: Mapping[str, object]) -> None:
        """A new link stands; ``hello`` is the agent's first message on it."""
        ...

    def link_down(self, reason: str) -> None:
        """The link broke; the next one is being tried."""
        ...

    def message(self, message: Mapping[str, object]) -> bool:
        """A control message that is not an answer to a request of this link."""
        ...

    def data(self, frame: Data) -> bool:
        """Output of a session."""
        ...

    def stdin_credit(self, credit: Credit) -> bool:
        """The agent's credit for a stdin stream, and what it has acknowledged of it."""
        ...

    def drained(self) -> bool:
        """Store one part of what was taken, such as what came of one session; whether there is more to store."""
        ...


class Outward(Protocol):
    """Takes what programs of the guest ask for outside of it."""

    def told(self, link: Link, message: Mapping[str, object]) -> bool:
        """A ``dial``, a ``resolve`` or ``strays``; whether it changed anything. Raises ProtocolError."""
        ...
