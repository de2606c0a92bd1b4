"""One session as its client sees it, across any number of connections. Bytes in, frames out; no I/O.

Offsets decide what is new: after a break the same request goes out again with the offsets reached, and what was
typed goes on from the agent's acknowledgement. So the program runs once and no byte comes or goes twice.
"""

from __future__ import annotations

from sandtop.agent.wire import Control, Credit, Data, Frame, Outbox, ProtocolError, SendStream
from sandtop.core.client.link.operation import Operation
from sandtop.core.client.link.plain import new_id
from sandtop.core.errors import CoreFailure

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Any, Final

    from sandtop.core.contract.record import Request
    from sandtop.core.contract.session import SessionLogs

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
SCREEN: Final = 3
"""Where a terminal's screen comes, in place of the output that made it."""
MOST_SCREEN: Final = 64 << 20
_TELL: Final = 32 * 1024
"""Bytes drawn that are worth a word."""
INPUT_BYTES: Final = 256 * 1024
"""How much input a client holds that the agent has not acknowledged."""


class Following(Operation):
    """A followed session: how far its output was read, and what of its input is not acknowledged.

    Attributes:
        session: the session's id, once known.
        offsets: for stdout (1) and stderr (2), the next byte expected; None when any may be the first.
        input_lost: the program closed its input, or somebody else holds it; what is sent goes nowhere.
        holder: who holds the session's input, as the core names it to people; None when nobody does.
        holds_input: whether that is this client.
        live_from: where the output ended when the core was asked first: what is before that was there already.
        screen: what makes the screen that the last control ``screen`` was about.
        result: the core's last word, once it came: ``record`` and ``session``.
    """

    __slots__ = (
        "_coming",
        "_drawn",
        "_held_input",
        "_opened",
        "_outbox",
        "_size",
        "_stdin",
        "holder",
        "holds_input",
        "input_lost",
        "live_from",
        "offsets",
        "screen",
        "session",
    )

    def __init__(
        self,
        request: Request[Any] | dict[str, Any],
        *,
        stdin: bool,
        session: str | None = None,
        offsets: dict[int, int | None] | None = None,
        begun: bool = False,
    ) -> None:
        super().__init__(request)
        self._opened = begun
        self._outbox = Outbox()
        self._stdin: SendStream | None = SendStream(STDIN) if stdin else None
        self._size: tuple[int, int] | None = None
        if self._stdin is not None:
            self._outbox.add(self._stdin)
        self.session = session
        self.offsets = offsets or {STDOUT: 0, STDERR: 0}
        self.input_lost = False
        self.holder: str | None = None
        self.holds_input = False
        self._held_input = False
        self.live_from: int | None = None
        self.screen = bytearray()
        self._coming: Control | None = None
        self._drawn = 0

    def opening(self) -> bytes:
        if self._opened:
            self.reopened()
        else:
            self._message |= {name: at for name, at in self._reached().items() if at}
        self._opened = True
        self._outbox.restart()
        opening = super().opening()
        if self._size is not None:
            self.resize(*self._size)
        return opening

    def reopened(self) -> None:
        """Change the request so that the next connection goes on where the last one broke."""
        if self._coming is not None:  # half a screen is none
            self._coming, self.offsets[STDOUT], self.live_from = None, None, None
        self._message |= self._reached()
        if self._held_input:
            # it is taken from nobody a second time, and what somebody else has meanwhile is theirs
            self._message |= {"resumed": True, "take": False}
        if self.input_lost:
            self._message["input"] = False

    def _reached(self) -> dict[str, int | None]:
        return {"stdout": self.offsets[STDOUT], "stderr": self.offsets[STDERR]}

    def feed(self, data: bytes) -> list[Frame]:
        """What is new: `Data` on streams 1 and 2 without repeats, and `Control` of type started, gap, time, progress.

        Raises the core's error, or `CoreFailure` when it breaks the protocol.
        """
        try:
            return [new for frame in super().feed(data) if (new := self._take(frame)) is not None]
        except ProtocolError as error:
            raise CoreFailure(f"the core broke its protocol: {error}", hint="see the core's log") from error

    def _take(self, frame: Frame) -> Frame | None:
        if isinstance(frame, Data):
            return self._take_screen(frame.data) if frame.stream == SCREEN else self._take_data(frame)
        if isinstance(frame, Credit):
            if self._stdin is not None and not self.input_lost:
                if self._joins and self._stdin.end == 0 and frame.acked > 0:
                    self._begin_input(frame.acked)
                self._outbox.take_credit(frame)
            return None
        if isinstance(frame, Control):
            return self._take_control(frame)
        return None  # an eof of an output stream: the result says all of it

    @property
    def _joins(self) -> bool:
        """Whether the session was there before: what others typed counts."""
        return str(self._message["op"]) == "session.follow"

    def _begin_input(self, offset: int) -> None:
        """Others have typed ``offset`` bytes before: what is written here comes behind them."""
        closed = self._stdin is not None and self._stdin.final is not None
        self._stdin = SendStream(STDIN, offset)
        self._outbox.add(self._stdin)
        if closed:
            self._stdin.close()

    def _take_screen(self, data: bytes) -> Control | None:
        """A piece of a screen; once it is whole, what the core said of it."""
        coming = self._coming
        self.screen += data
        if coming is None or len(self.screen) > MOST_SCREEN:
            raise ProtocolError("a screen that nobody announced")
        if len(self.screen) < _number(coming, "bytes"):
            return None
        self._coming = None
        offset = _number(coming, "offset")
        if (self.offsets[STDOUT] or 0) < offset:  # in place of what lies between
            self.offsets[STDOUT] = offset
        return coming

    def _take_data(self, frame: Data) -> Data | None:
        if frame.stream not in self.offsets:
            raise ProtocolError(f"output on stream {frame.stream}")
        expected = self.offsets[frame.stream]
        if expected is None:
            expected = frame.offset
        if frame.offset > expected:
            raise ProtocolError(f"stream {frame.stream}: bytes {expected} to {frame.offset} are missing")
        end = frame.offset + len(frame.data)
        if end <= expected:
            return None
        self.offsets[frame.stream] = end
        if frame.offset == expected:
            return frame
        return Data(frame.stream, expected, frame.data[expected - frame.offset :])

    def _take_control(self, frame: Control) -> Control | None:
        message = frame.message
        kind = message["type"]
        if kind == "lost-input":
            self.input_lost = True
            self.holds_input = False
            if self._stdin is not None:  # nobody will acknowledge what is held
                self._outbox.remove(STDIN)
            return frame
        if kind == "gap":
            stream, size = message.get("stream"), message.get("bytes")
            if (
                not isinstance(stream, int)
                or stream not in self.offsets
                or not isinstance(size, int)
                or size < 0
            ):
                raise ProtocolError("a gap that makes no sense")
            reached = self.offsets[stream]
            self.offsets[stream] = None if reached is None else reached + size
        elif kind == "started":
            self._take_started(message)
        elif kind == "screen":
            self.screen, self._coming = bytearray(), frame
            return None if _number(frame, "bytes") else self._take_screen(b"")
        elif kind == "holder":
            label = message.get("label")
            self.holder = label if isinstance(label, str) else None
            self.holds_input = message.get("you") is True
            self._held_input = self._held_input or self.holds_input
        return frame

    def _take_started(self, message: dict[str, object]) -> None:
        if isinstance(session := message.get("session"), str):
            self.session = session
            if "session" in self._message:  # it may have been asked for by the beginning of its id
                self._message["session"] = session
        begin, live_from = message.get("from"), message.get("live_from")
        if self.offsets[STDOUT] is None and isinstance(begin, int):
            self.offsets[STDOUT] = begin
        if self.live_from is None and isinstance(live_from, int):
            self.live_from = live_from

    @property
    def _patience(self) -> float | None:
        return None  # programs may be silent

    @property
    def progress(self) -> int:
        acked = 0 if self._stdin is None else self._stdin.acked
        return acked + sum(reached or 0 for reached in self.offsets.values())

    def pull(self) -> bytes | None:
        return self._outbox.batch() or None

    @property
    def room(self) -> int:
        """How many bytes `write` takes now: no more than the program's side has credit for."""
        stdin = self._stdin
        if stdin is None or stdin.final is not None or self.input_lost:
            return 0
        return max(0, min(stdin.limit - stdin.end, INPUT_BYTES - stdin.retained))

    @property
    def input_open(self) -> bool:
        """Whether there is an input that takes, now or later, more bytes."""
        return self._stdin is not None and self._stdin.final is None and not self.input_lost

    @property
    def input_sent(self) -> bool:
        """Whether all input written so far, and its end when it was closed, is on the connection or was given up."""
        stdin = self._stdin
        if stdin is None or self.input_lost:
            return True
        return stdin.sent >= stdin.end and (stdin.final is None or stdin.eof_sent)

    @property
    def input_arrived(self) -> bool:
        """Whether the agent has acknowledged all input written so far."""
        return self._stdin is not None and self._stdin.acked >= self._stdin.end

    def write(self, data: bytes) -> None:
        """Append to the input. The caller keeps to `room`."""
        if self._stdin is not None and not self.input_lost:
            self._stdin.write(data)
            self._outbox.wake(STDIN)

    def close_input(self) -> None:
        """The input ends behind what was written."""
        if self._stdin is not None:
            self._stdin.close()
            self._outbox.wake(STDIN)

    def drawn(self, offset: int) -> bool:
        """This client's terminal shows all that was written before ``offset``: the program goes no faster.

        Whether that was worth a word, which is to be sent now.
        """
        if self._drawn <= offset < self._drawn + _TELL:
            return False
        self._drawn = offset
        self._outbox.control({"type": "drawn", "offset": offset})
        return True

    def resize(self, rows: int, columns: int) -> None:
        """Tell the program's terminal its size; told again on a new connection."""
        self._size = (rows, columns)
        self._outbox.control({"type": "resize", "rows": rows, "columns": columns, "op_id": new_id()})


def _number(frame: Control, name: str) -> int:
    value = frame.message.get(name)
    if not isinstance(value, int) or value < 0:
        raise ProtocolError(f"a {frame.message['type']} whose {name} makes no sense")
    return value


def screen_of(frame: Control) -> tuple[int, tuple[int, int], list[tuple[int, int, int]]]:
    """What a ``screen`` says: its offset, its rows and columns, and the sizes that came later, with their offsets."""
    from sandtop.core.contract.record import is_list

    sizes = frame.message.get("sizes")
    later = [
        (int(str(size[0])), int(str(size[1])), int(str(size[2])))
        for size in (sizes if is_list(sizes) else [])
        if is_list(size) and len(size) == 3
    ]
    return _number(frame, "offset"), (_number(frame, "rows"), _number(frame, "columns")), later


class Reading(Following):
    """A session's log as ``session.logs`` sends it. Which bytes are first is for the core to say.

    ``floors`` are the lengths of stdout and stderr when it began: where a stream of which nothing has come goes on
    after a break.
    """

    __slots__ = ("_floors",)

    def __init__(self, request: SessionLogs, floors: dict[int, int], *, session: str | None) -> None:
        super().__init__(request, stdin=False, session=session, offsets={STDOUT: None, STDERR: None})
        self._floors = floors

    def reopened(self) -> None:
        """As `Following.reopened`; what to begin with was said once and for all."""
        self.offsets = {
            stream: self._floors[stream] if reached is None else reached
            for stream, reached in self.offsets.items()
        }
        self._message |= {"since": None, "tail": None}
        super().reopened()
