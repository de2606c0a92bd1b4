"""``core.…``: the core itself."""

from __future__ import annotations

from .record import Change, Record, Request

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .limits import Time


class CoreStatus(Record):
    """The core: ``sandboxes`` it knows, ``running`` of them; ``started_at`` is in seconds since the epoch.

    ``standing_by``: machines that are no sandboxes yet, and will be the next ones of their shape.
    """

    pid: int
    version: str
    started_at: Time
    sandboxes: int
    running: int
    standing_by: int = 0
    socket: str
    home: str


class Stopped(Record):
    """The core ends; ``pid`` is whose end one may wait for."""

    pid: int


class Status(Request[CoreStatus], op="core.status"):
    """How the core is."""


class Stop(Change[Stopped], op="core.stop", slow=True):
    """End the core. Every version takes it, also from a client that is newer.

    Attributes:
        all: stop every sandbox first; else the machines go on.
    """

    all: bool = False
