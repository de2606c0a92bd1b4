"""``core.…``: the core itself, and what it knows of all sandboxes. What streams carry is in `core_events`."""

from __future__ import annotations

from .record import Change, Nothing, Record, Request, Stream

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Literal

    from .limits import Count, Environment, EventKinds, Offsets, Seconds, Text, Time


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


class Address(Record):
    """Where the core's metrics are served, or None."""

    address: str | None = None


class Metrics(Change[Address], op="core.metrics"):
    """Serve the metrics of host and sandboxes in Prometheus' text format, until the core is stopped.

    Attributes:
        address: ``unix:PATH``, or the port of a loopback address, as ``127.0.0.1:9464``; ``off`` for nowhere, and null
            for where they are served now.
    """

    address: Text | None = None


class Stats(Stream[Nothing], op="core.stats"):
    """What host and sandboxes use, as one `Sample`; with ``history`` first what they used before it.

    Attributes:
        sandboxes: names or uuids; null: all.
        labels: those of them that have these labels.
        history: so many seconds (the core keeps an hour), as a `HostHistory`, and a `SandboxHistory` for each sandbox.
        step: seconds that a value of it stands for, at least.
        sessions: also what each session uses.
        follow: another `Sample` every two seconds, for as long as the connection lasts.
    """

    sandboxes: list[str] | None = None
    labels: Environment | None = None
    history: Seconds = 0.0
    step: Seconds = 0.0
    sessions: bool = False
    follow: bool = False


class Events(Stream[Nothing], op="core.events"):
    """What happened, oldest first, as `Happened`.

    Attributes:
        sandboxes: names or uuids, also of removed ones; null: all, and the core itself.
        labels: of those sandboxes that have these labels now.
        kinds: no others than these; null: all.
        since, until: seconds since the epoch.
        after: those with a higher ``id``.
        limit: the newest of them, before ``follow``.
        follow: and what happens from now on, until ``until`` or for as long as the connection lasts.
    """

    sandboxes: list[str] | None = None
    labels: Environment | None = None
    kinds: EventKinds | None = None
    since: Time | None = None
    until: Time | None = None
    after: Count | None = None
    limit: Count | None = None
    follow: bool = False


class Logs(Stream[Nothing], op="core.logs"):
    """What the sessions of several sandboxes wrote, merged by the time at which it came.

    A `Source` comes before the first output of a session, an `At` before each piece.

    Attributes:
        sandboxes: names or uuids; null: all.
        labels: those of them that have these labels.
        streams: ``stdout``, ``stderr``; null: both.
        since: seconds since the epoch.
        tail: so many lines of each session.
        follow: and what they write from now on, sessions and sandboxes that begin later too.
        offsets: by the id of a session, those of its stdout and stderr to go on from after a break.
    """

    sandboxes: list[str] | None = None
    labels: Environment | None = None
    streams: list[Literal["stdout", "stderr"]] | None = None
    since: Time | None = None
    tail: Count | None = None
    follow: bool = False
    offsets: Offsets | None = None
