"""What host and sandboxes use, what happens, and what several of them write.

Whoever leaves an iteration over what is followed before its end closes it: `contextlib.aclosing`.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from sandtop.core.client.link.asynchronous import call, listen
from sandtop.core.client.link.listening import EventsListening, LogsListening, StatsListening
from sandtop.core.client.link.plain import new_id
from sandtop.core.contract.core import Events, Logs, Metrics, Stats
from sandtop.core.contract.core_events import Sample
from sandtop.core.errors import CoreFailure

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from typing import Literal

    from sandtop.core.client.link.listening import LogPiece
    from sandtop.core.contract.core_events import Happening, HostHistory, SandboxHistory

T = TypeVar("T")


async def stats(
    sandboxes: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    sessions: bool = False,
) -> Sample:
    """What the host and ``sandboxes`` (names or uuids; None: all) with ``labels`` use now; it takes a second or two.

    With ``sessions`` also what each session uses. Raises `NotFound`.
    """
    request = Stats(sandboxes=_some(sandboxes), labels=dict(labels or {}), sessions=sessions)
    async with aclosing(listen(StatsListening(request))) as items:
        async for item in items:
            if isinstance(item, Sample):
                return item
    raise CoreFailure("the core told nothing of what is used", hint="see its log")


def follow_stats(
    sandboxes: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    sessions: bool = False,
    history: float = 0.0,
    step: float = 0.0,
) -> AsyncGenerator[Sample | HostHistory | SandboxHistory]:
    """As `stats`, again every two seconds; first, with ``history``, what was used in so many seconds before (an hour).

    ``step``: seconds that a value of the history stands for; the core keeps one for each ten. It comes anew when the
    core was started anew, which begins with none. Raises `NotFound`, `CoreUnavailable`.
    """
    request = Stats(
        sandboxes=_some(sandboxes), labels=dict(labels or {}), sessions=sessions, history=history, step=step,
        follow=True,
    )  # fmt: skip
    return listen(StatsListening(request))


async def events(
    sandboxes: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    kinds: Sequence[str] | None = None,
    since: float | None = None,
    until: float | None = None,
    limit: int | None = None,
) -> list[Happening]:
    """What happened to ``sandboxes``, also removed ones, oldest first; with None to all, and to the core.

    ``since`` and ``until`` are in seconds since the epoch; ``limit``: no more than the newest. The core keeps the last
    15,000 or so. Raises `InvalidRequest` for a kind that there is not.
    """
    request = Events(
        sandboxes=_some(sandboxes), labels=dict(labels or {}), kinds=_some(kinds), since=since, until=until,
        limit=limit,
    )  # fmt: skip
    return [event async for event in listen(EventsListening(request))]


def follow_events(
    sandboxes: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    kinds: Sequence[str] | None = None,
    since: float | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> AsyncGenerator[Happening]:
    """As `events`, and what happens from now on; ``after``: those with a higher ``id``. None is told twice or missed,
    also when the core dies meanwhile."""
    request = Events(
        sandboxes=_some(sandboxes), labels=dict(labels or {}), kinds=_some(kinds), since=since, after=after,
        limit=limit, follow=True,
    )  # fmt: skip
    return listen(EventsListening(request))


def merged_logs(
    sandboxes: Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    streams: Sequence[Literal["stdout", "stderr"]] | None = None,
    since: float | None = None,
    tail: int | None = None,
    follow: bool = False,
) -> AsyncGenerator[LogPiece]:
    """What all sessions of ``sandboxes`` (None: all) with ``labels`` wrote, merged by the time at which it came.

    ``since`` is in seconds since the epoch, ``tail`` a number of lines of each session. With ``follow`` it goes on with
    what they write, and with sessions and sandboxes that begin later. Raises `NotFound`, `CoreUnavailable`.
    """
    request = Logs(
        sandboxes=_some(sandboxes), labels=dict(labels or {}), streams=_some(streams), since=since, tail=tail,
        follow=follow,
    )  # fmt: skip
    return listen(LogsListening(request))


async def serve_metrics(address: str | None = None) -> str | None:
    """Have the core serve metrics in Prometheus' text format, and say where it does.

    ``address`` is ``unix:PATH``, ``127.0.0.1:PORT`` or ``[::1]:PORT``; ``off`` for nowhere; None changes nothing.
    Raises `InvalidRequest`, and what keeps the core from listening there.
    """
    return (await call(Metrics(address=address, request_id=new_id()))).address


def _some(values: Sequence[T] | None) -> list[T] | None:
    return None if values is None else list(values)
