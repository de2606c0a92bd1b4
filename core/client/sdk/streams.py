"""Following a session piece by piece, for who draws it: a terminal with its screens, and a log with its times."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from sandtop.agent.wire import Control, Data
from sandtop.core.client.link.asynchronous import AsyncConversation
from sandtop.core.client.link.listening import LogsListening
from sandtop.core.client.session.attached import returning
from sandtop.core.client.session.events import Redrawn, Stderr, Stdout
from sandtop.core.client.session.following import STDERR, STDOUT, Following, Reading
from sandtop.core.client.session.stream import EventStream
from sandtop.core.contract.core import Logs
from sandtop.core.contract.session import SessionFollow, SessionLogs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.agent.wire import Frame
    from sandtop.core.client.link.listening import LogPiece
    from sandtop.core.client.session.events import Event, ExitRecord
    from sandtop.core.contract.session_results import SessionInfo

REPLAY_BYTES: Final = 512 * 1024
"""How much of an ended terminal's past is played again to get its last screen."""


class TerminalStream:
    """A session's terminal: its screen, all that follows, and its input, as long as it takes.

    ``sandbox`` is its sandbox's uuid or name. While the session runs its screen comes first, as a `Redrawn`, and with
    ``read_only`` False this client holds the input (``take``: also when somebody else did). Of an ended one comes the
    end of its log, which makes its last screen.

    Move it along with `advance`, take what came with `take`. The core may die meanwhile.
    """

    def __init__(
        self, sandbox: str, session: SessionInfo, *, read_only: bool = True, take: bool = False
    ) -> None:
        if session.state in ("starting", "running"):
            self._following = returning(sandbox, session.id, read_only=read_only, take=take)
        else:
            request = SessionFollow(sandbox=sandbox, session=session.id, input=False)
            begin = max(0, session.stdout_bytes - REPLAY_BYTES)
            offsets: dict[int, int | None] = {STDOUT: begin, STDERR: 0}
            self._following = Following(request, stdin=False, session=session.id, offsets=offsets)
        self._events = EventStream(self._following)

    @property
    def record(self) -> ExitRecord | None:
        """How the session ended, once all was read."""
        return self._events.record

    @property
    def live_from(self) -> int:
        """Output before this offset was there before: what it asked its terminal was answered then."""
        return self._following.live_from or 0

    @property
    def holder(self) -> str | None:
        """Who holds the input, as the core names it to people; None when nobody does."""
        return self._following.holder

    @property
    def holds_input(self) -> bool:
        """Whether that is this client."""
        return self._following.holds_input

    @property
    def input_lost(self) -> bool:
        """Somebody else has taken the input over, or the program closed it: what is written goes nowhere."""
        return self._following.input_lost

    @property
    def room(self) -> int:
        """How many bytes `write` takes now."""
        return self._following.room

    def write(self, data: bytes) -> None:
        """Append ``data``, no more than `room`, to the input; `flush` sends it."""
        self._following.write(data)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the program how large its window is; `flush` sends it."""
        self._following.resize(rows, columns)

    def drawn(self, offset: int) -> bool:
        """All output before ``offset`` is on the screen: the program goes no faster. Whether `flush` has to send it."""
        return self._following.drawn(offset)

    async def advance(self) -> None:
        """Return when something has happened, perhaps nothing of interest. Call it only while `record` is None.

        Raises what the core reports; after `CoreUnavailable` it may be called again.
        """
        await self._events.advance()

    def take(self) -> Event | Redrawn | None:
        """The next event, or None when none has come yet."""
        return self._events.take()

    async def flush(self) -> None:
        """Send what the core takes now. Several tasks may do that."""
        await self._events.flush()

    async def aclose(self) -> None:
        """Close the connection; the session goes on."""
        await self._events.aclose()


class LogStream:
    """A session's log: its last ``tail`` lines (None: all), and with ``follow`` all that comes until the session ends.

    With ``most`` the last lines are no more than about so many bytes, the newest. ``lengths`` are those of stdout and
    stderr when it begins. Move it along with `advance`, take what came with `take`.

    Attributes:
        at: when what was taken last had come, in seconds since the epoch; None where that is not known.
        over: whether all was read.
    """

    def __init__(
        self,
        sandbox: str,
        session: str,
        *,
        tail: int | None,
        follow: bool,
        lengths: tuple[int, int],
        most: int | None = None,
    ) -> None:
        request = SessionLogs(
            sandbox=sandbox, session=session, tail=tail, most=most, follow=follow, timestamps=True
        )
        self._reading = _Stamped(request, {STDOUT: lengths[0], STDERR: lengths[1]}, session=session)
        self._events = EventStream(self._reading)
        self.at: float | None = None

    @property
    def over(self) -> bool:
        return self._reading.over

    async def advance(self) -> None:
        """As `TerminalStream.advance`. Call it only while it is not `over`."""
        await self._events.advance()

    def take(self) -> Event | None:
        """The next event, or None when none has come yet."""
        event = self._events.take()
        if isinstance(event, (Stdout, Stderr)):
            stream, times = STDOUT if isinstance(event, Stdout) else STDERR, self._reading.times
            while times and times[0][0] == stream and times[0][1] <= event.offset:
                self.at = times.popleft()[2]
        return None if isinstance(event, Redrawn) else event  # a log has no screens

    async def aclose(self) -> None:
        """Close the connection."""
        await self._events.aclose()


class MergedLogStream:
    """The logs of ``sandboxes`` (names or uuids) merged by time: ``tail`` lines of each session, and what comes then.

    Move it along with `advance`, take what came with `take`. The core may die meanwhile.
    """

    def __init__(self, sandboxes: Sequence[str], *, tail: int, follow: bool = True) -> None:
        self._listening = LogsListening(Logs(sandboxes=list(sandboxes), tail=tail, follow=follow))
        self._conversation = AsyncConversation(self._listening)

    @property
    def over(self) -> bool:
        """Whether all was read; never, while it follows."""
        return self._listening.over

    async def advance(self) -> None:
        """As `TerminalStream.advance`."""
        await self._conversation.advance()

    def take(self) -> LogPiece | None:
        """The next piece, or None when none has come yet."""
        return self._listening.items.popleft() if self._listening.items else None

    async def aclose(self) -> None:
        """Close the connection."""
        await self._conversation.aclose()


class _Stamped(Reading):
    """A log with the times between its bytes: where each begins, by stream and offset."""

    __slots__ = ("_pending", "times")

    def __init__(self, request: SessionLogs, floors: dict[int, int], *, session: str) -> None:
        super().__init__(request, floors, session=session)
        self.times: deque[tuple[int, int, float]] = deque()
        self._pending: float | None = None

    def feed(self, data: bytes) -> list[Frame]:
        frames = super().feed(data)
        for frame in frames:
            if isinstance(frame, Control) and isinstance(at := frame.message.get("at"), (int, float)):
                self._pending = float(at)
            elif isinstance(frame, Data) and self._pending is not None:
                self.times.append((frame.stream, frame.offset, self._pending))
                self._pending = None
        return frames
