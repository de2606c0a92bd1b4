"""The tunnel to one file server: frames within the stdin and the stdout of a session that nobody else knows of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import trio

from sandtop.agent.wire import (
    STREAMS_PER_SESSION,
    Control,
    Data,
    Decoder,
    Eof,
    Outbox,
    ProtocolError,
    ReceiveWindow,
    SendStream,
)
from sandtop.agent.wire.limits import MAX_AGENT_MESSAGE, MAX_AGENT_VALUES, MAX_CALLS, PIPE_WINDOW
from sandtop.core.contract.record import is_object
from sandtop.core.errors import ChannelError, InvalidRequest, WrongState
from sandtop.core.files.call import FileCall, FileFailed, FilesLost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.agent.wire import Frame
    from sandtop.core.channel import AgentLink

Kind = Literal["files", "watch", "layers", "mounts"]
"""What a server is for: calls about files, those that wait, the layers of images, or mounts."""
_BUILTINS: Final[dict[Kind, dict[str, object]]] = {
    "files": {"name": "files", "watch": False},
    "watch": {"name": "files", "watch": True},
    "layers": {"name": "layers"},
    "mounts": {"name": "mounts"},
}
_STDOUT: Final = 1
_AHEAD: Final = 256 * 1024
"""Bytes that may wait in the outer stream: beyond them the calls' streams wait, so that each has its turn."""
_WORDS_KEPT: Final = 500
_MOST_ERRNO: Final = 4095
_MOST_CALLS: Final = 1 << 29


class Tunnel:
    """Calls to the server whose session is ``key`` and ``number``, over ``link``. It lives no longer than that link.

    Attributes:
        lost: why it is of no use any more; None while it is.
        ended: set when the agent said that the server has ended.
    """

    def __init__(self, link: AgentLink, name: str, key: str, number: int) -> None:
        self.key = key
        self.number = number
        self.lost: str | None = None
        self.ended = trio.Event()
        self._link = link
        self._name = name
        self._base = number * STREAMS_PER_SESSION
        self._into = SendStream(self._base)
        self._out = {n: ReceiveWindow(self._base + n) for n in (_STDOUT, _STDOUT + 1)}
        self._outbox = Outbox()
        self._decoder = Decoder(MAX_AGENT_MESSAGE, MAX_AGENT_VALUES)
        self._calls: dict[int, FileCall] = {}
        self._last = 0

    @property
    def busy(self) -> bool:
        """Whether there are calls."""
        return bool(self._calls)

    @property
    def calls(self) -> int:
        """How many there were."""
        return self._last

    @property
    def full(self) -> bool:
        """Whether it takes no more calls for now, or none any more."""
        return len(self._calls) >= MAX_CALLS or self._last >= _MOST_CALLS

    def open(self, user: str | None, kind: Kind) -> None:
        """Ask the agent for the server."""
        self._link.outbox.add(self._into)
        self._link.send(
            {
                "type": "start", "id": self.key, "n": self.number, "user": user, "cwd": "/", "stdin": True,
                "builtin": _BUILTINS[kind],
            }
        )  # fmt: skip
        for window in self._out.values():
            self._link.outbox.credit(window.grant(PIPE_WINDOW))
        self._link.flush()

    def close(self) -> None:
        """Let the server end."""
        self.lost = self.lost or "it was closed"
        self._into.close()
        self._link.outbox.wake(self._base)
        self._link.flush()

    def kill(self, why: str) -> None:
        """End the server, which may hang."""
        self.break_off(why)
        op = f"end-{self.key}"
        self._link.send({"type": "signal", "id": self.key, "op": op, "signal": 9, "scope": "all"})

    def break_off(self, why: str) -> None:
        """Nothing more will come of it."""
        self.lost = self.lost or why
        error = FilesLost(f"the way to the files of {self._name} broke: {why}", sandbox=self._name)
        for call in list(self._calls.values()):
            call.fail(error)
        self._calls.clear()

    # calls

    def begin(self, do: str, fields: Mapping[str, object]) -> FileCall:
        """Send a call. `end` it, whatever becomes of it."""
        self._last += 1
        call = FileCall(self._last, self._name)
        self._calls[call.number] = call
        self._outbox.add(call.stream)
        self._say({"type": "call", "call": call.number, "do": do, **fields})
        return call

    def _say(self, message: dict[str, object]) -> None:
        try:
            self._outbox.control(message)
        except ProtocolError:  # so much waits for a server that does not read
            self.kill("it took nothing any more")

    def pump(self, call: FileCall | None = None) -> None:
        """Pass on what waits to be sent, and of ``call`` what was written to its stream or taken of it."""
        if call is not None:
            self._outbox.wake(call.number)
            if (credit := call.due()) is not None:
                self._outbox.credit(credit)
        if self.lost is not None:
            return
        sent = False
        while self._into.retained < _AHEAD and (data := self._outbox.batch()):
            self._into.write(data)
            sent = True
        if sent:
            self._link.outbox.wake(self._base)
            self._link.flush()

    def end(self, call: FileCall) -> None:
        """Nobody is interested in ``call`` any more."""
        self._outbox.remove(call.number)
        if self._calls.pop(call.number, None) is not None and not call.ended:
            self._say({"type": "cancel", "call": call.number})
        self.pump()

    # what the agent says

    def message(self, message: Mapping[str, object]) -> None:
        """The agent's word on the session."""
        kind = message["type"]
        if kind == "exited":
            self.ended.set()
            record = message.get("record")
            self._fail_all(record if is_object(record) else {})
            self._link.outbox.remove(self._base)
            self._link.send({"type": "release", "id": self.key})
        elif kind == "refused":
            self.ended.set()
            self._link.outbox.remove(self._base)
            self._fail_all({"reason": "refused", "message": message.get("message")})

    def _fail_all(self, record: Mapping[str, object]) -> None:
        """The server has ended, or never began."""
        said = _words(record.get("message"))
        if record.get("stage") == "user":
            error: Exception = InvalidRequest(said or "there is no such user", sandbox=self._name)
        elif record.get("reason") in ("spawn", "refused"):
            error = WrongState(f"the files of {self._name} cannot be reached: {said}", sandbox=self._name)
        elif record.get("reason") == "oom":
            hint = "give it more memory"
            error = ChannelError(f"{self._name} had no memory left for this", sandbox=self._name, hint=hint)
        else:
            words = f"what looks after the files in {self._name} has ended"
            error = FilesLost(words, sandbox=self._name, hint="try again")
        for call in list(self._calls.values()):
            call.fail(error)
        self.break_off("the server has ended")

    def credited(self) -> None:
        """The agent takes more."""
        self.pump()

    def data(self, frame: Data) -> bool:
        """Output of the server; whether it changed anything. Raises ProtocolError."""
        window = self._out.get(frame.stream - self._base)
        if window is None:
            raise ProtocolError(f"stream {frame.stream} of a file server")
        fresh = window.take(frame.offset, frame.data)
        if window.limit - window.received < PIPE_WINDOW // 2:
            self._link.outbox.credit(window.grant(window.received + PIPE_WINDOW))
            self._link.flush()
        if (
            not fresh or frame.stream - self._base != _STDOUT
        ):  # what it says on stderr is for the guest's developers
            return False
        if self.lost is not None:
            return False
        news = False
        try:
            for inner in self._decoder.frames(fresh):
                news |= self._take(inner)
        except ProtocolError as error:  # which is not the agent's fault, whose link stays
            self.kill(f"it sent what makes no sense: {error}")
        return news

    def _take(self, frame: Frame) -> bool:
        if isinstance(frame, Control):
            number = frame.message.get("call")
            call = self._calls.get(number) if isinstance(number, int) else None
            return call is not None and self._message(call, frame.message)
        call = self._calls.get(frame.stream)
        if call is None:
            return False  # of one that was cancelled
        if isinstance(frame, Data):
            return call.take_data(frame.offset, frame.data)
        if isinstance(frame, Eof):
            call.take_end(frame.offset)
        else:
            before = call.stream.limit
            call.credited(frame)
            self.pump(call)
            return call.stream.limit > before
        return True

    def _message(self, call: FileCall, message: Mapping[str, object]) -> bool:
        kind = message["type"]
        if call.ended or kind not in ("opened", "answer", "failed", "alive"):
            return False
        if kind == "opened":
            call.take_opened(message)
        elif kind == "answer":
            call.take_answer(message)
        elif kind == "alive":
            call.alive()
            return False  # changes slowly
        else:
            number, path = message.get("errno"), message.get("path")
            known = isinstance(number, int) and 0 < number <= _MOST_ERRNO
            call.fail(
                FileFailed(
                    number if known and isinstance(number, int) else 5,
                    _words(message.get("why")),
                    path if isinstance(path, str) else None,
                )
            )
        return True


def _words(said: object) -> str:
    return said[:_WORDS_KEPT] if isinstance(said, str) else ""
