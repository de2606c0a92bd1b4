"""What the core tells one who listens: items of a kind, one after the other, over as many connections as it takes.

No I/O. After a break the same request goes out again, and goes on behind what has come.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from sandtop.agent.wire import STREAMS_PER_SESSION, Control, Data
from sandtop.core.contract.codec import decode_result
from sandtop.core.contract.core_events import (
    Happened,
    Happening,
    HostHistory,
    Sample,
    SandboxHistory,
    Source,
)
from sandtop.core.contract.session_events import At, Gap
from sandtop.core.errors import CoreFailure

from .operation import Operation

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from sandtop.agent.wire import Frame
    from sandtop.core.contract.core import Events, Logs, Stats
    from sandtop.core.contract.record import Request
    from sandtop.core.contract.sandbox import SandboxConsole

T = TypeVar("T")


class Listening(Operation, Generic[T]):
    """A request that many answers come to.

    Attributes:
        items: what has come and was not taken.
    """

    __slots__ = ("_count", "_follow", "items")

    def __init__(self, request: Request[Any], *, follow: bool) -> None:
        super().__init__(request)
        self._follow = follow
        self._count = 0
        self.items: deque[T] = deque()

    def feed(self, data: bytes) -> list[Frame]:
        """Puts what comes of ``data`` into `items`; any other frame is returned. Raises as `Operation`."""
        rest: list[Frame] = []
        for frame in super().feed(data):
            if isinstance(frame, Control) and frame.message["type"] == "progress":
                rest.append(frame)
            else:
                for item in self._items(frame):
                    self._count += 1
                    self.items.append(item)
        return rest

    def _items(self, frame: Frame) -> Iterable[T]:
        """The items in ``frame``."""
        raise NotImplementedError

    @property
    def progress(self) -> int:
        return self._count

    @property
    def _patience(self) -> float | None:
        return None if self._follow else super()._patience


class StatsListening(Listening["Sample | HostHistory | SandboxHistory"]):
    """`Stats`: samples, each whole, and the histories before them."""

    __slots__ = ("_part",)

    def __init__(self, request: Stats) -> None:
        super().__init__(request, follow=request.follow)
        self._part: Sample | None = None

    def _items(self, frame: Frame) -> Iterable[Sample | HostHistory | SandboxHistory]:
        message = _control(frame)
        if message["type"] == HostHistory.kind:
            return [decode_result(HostHistory, message)]
        if message["type"] == SandboxHistory.kind:
            return [decode_result(SandboxHistory, message)]
        sample, part = decode_result(Sample, message), self._part
        if part is not None and part.at == sample.at:
            together = [*part.sandboxes, *sample.sandboxes]
            sample = Sample(at=sample.at, host=sample.host, sandboxes=together, more=sample.more)
        self._part = sample if sample.more else None
        return [] if sample.more else [sample]


class EventsListening(Listening[Happening]):
    """`Events`."""

    __slots__ = ()

    def __init__(self, request: Events) -> None:
        super().__init__(request, follow=request.follow)

    def _items(self, frame: Frame) -> Iterable[Happening]:
        found = decode_result(Happened, _control(frame)).events
        if found:
            self._message["after"] = found[-1].id
            self._message.pop("limit", None)
        return found


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Bytes that a session wrote at once.

    Attributes:
        at: when they came, in seconds since the epoch; 0 where that is not known.
        source: of which session.
        missing: so many bytes fell to the log's cap instead.
    """

    at: float
    source: Source
    stream: Literal["stdout", "stderr"]
    data: bytes
    missing: int = 0


class LogsListening(Listening[LogPiece]):
    """`Logs`: what several sandboxes wrote."""

    __slots__ = ("_at", "_reached", "_sources")

    def __init__(self, request: Logs) -> None:
        super().__init__(request, follow=request.follow)
        self._at = 0.0
        self._sources: dict[int, Source] = {}
        self._reached: dict[str, list[int]] = {}

    def opening(self) -> bytes:
        self._sources = {}  # they are numbered anew on each connection
        if self._reached:
            self._message["offsets"] = self._reached
            self._message.pop("tail", None)
            self._message["since"] = self._at  # of those sessions of which nothing has come
        return super().opening()

    def _items(self, frame: Frame) -> Iterable[LogPiece]:
        if isinstance(frame, Data):
            source, stream = self._place(frame.stream)
            self._reach(source, stream, frame.offset + len(frame.data))
            return [LogPiece(self._at, source, _NAMES[stream], frame.data)]
        message = _control(frame)
        if message["type"] == Source.kind:
            told = decode_result(Source, message)
            self._sources[told.number] = told
        elif message["type"] == At.kind:
            self._at = decode_result(At, message).at
        elif message["type"] == Gap.kind:
            gap = decode_result(Gap, message)
            source, stream = self._place(gap.stream)
            return [LogPiece(self._at, source, _NAMES[stream], b"", gap.bytes)]
        return []

    def _place(self, number: int) -> tuple[Source, int]:
        source, stream = self._sources.get(number // STREAMS_PER_SESSION), number % STREAMS_PER_SESSION
        if source is None or stream not in _NAMES:
            raise CoreFailure("the core sent output of a session that it did not name", hint="see its log")
        return source, stream

    def _reach(self, source: Source, stream: int, offset: int) -> None:
        self._reached.setdefault(source.session, [0, 0])[stream - 1] = offset


_NAMES: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}


class ConsoleListening(Listening[bytes]):
    """`SandboxConsole`. What a guest prints while no core runs is lost, so after a break only what is new comes."""

    __slots__ = ()

    def __init__(self, request: SandboxConsole) -> None:
        super().__init__(request, follow=request.follow)

    def _items(self, frame: Frame) -> Iterable[bytes]:
        if not isinstance(frame, Data):
            return []
        if self._follow:
            self._message["tail"] = 0
        return [frame.data]


def _control(frame: Frame) -> dict[str, object]:
    if not isinstance(frame, Control):
        raise CoreFailure("the core sent bytes where none were asked for", hint="see its log")
    return frame.message
