"""``net.…``: what a sandbox with an allow-list may reach, and what it reached."""

from __future__ import annotations

from .record import Change, Record, Request
from .sandbox import SandboxAnswer
from .secret import GivenSecret  # noqa: TC001  the codec looks for it in this module

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .limits import Count, Text, Time


class Egress(Record):
    """A connection that a program of a sandbox made to somewhere else, or tried to make; or a name that it asked for.

    Attributes:
        id: higher than that of those that began before it.
        at: when it began, seconds since the epoch; of several the last.
        host: the name that the program asked for, or an address that it had without asking.
        port: None for a name that was asked for, and refused.
        address: to which of the host's addresses it was made; None where it came to none.
        allowed: whether the list allows it; what did not come to stand for another reason has one all the same.
        reason: why it was refused, did not come to stand, or broke; None where nothing was wrong.
        sent, received: bytes, seen from the sandbox.
        ended_at: when it ended; None while it goes on.
        secrets: the names of those whose values were put into what it sent.
        times: how many of the same, one after the other, this stands for; of those that were carried each has its own.
    """

    id: int
    at: Time
    host: str
    port: int | None = None
    address: str | None = None
    allowed: bool = True
    reason: str | None = None
    sent: int = 0
    received: int = 0
    ended_at: Time | None = None
    times: int = 1
    secrets: list[str]


class EgressPage(Record):
    """Those that are kept, oldest first: the last thousand of this core's time, without those before ``after``."""

    connections: list[Egress]


class NetAllow(Change[SandboxAnswer], op="net.allow"):
    """Add to what a sandbox may reach. It counts for connections that begin from now on.

    Attributes:
        rules: such as ``git.example.org``, ``*.example.com:443``, ``192.0.2.0/24:22``.
    """

    sandbox: str
    rules: list[Text]


class NetDeny(Change[SandboxAnswer], op="net.deny"):
    """Take from what a sandbox may reach; each of ``rules`` has to be one that it has.

    Attributes:
        end: end connections that are no longer allowed, too; else they go on.
    """

    sandbox: str
    rules: list[Text]
    end: bool = False


class NetSecret(Change[SandboxAnswer], op="net.secret"):
    """Give a sandbox the values of secrets that it has, anew; for connections that begin from now on.

    Attributes:
        secrets: each for the host that it is for already.
    """

    sandbox: str
    secrets: list[GivenSecret]


class NetLog(Request[EgressPage], op="net.log"):
    """What a sandbox connected to. ``after``: those with a higher id than that."""

    sandbox: str
    after: Count | None = None
