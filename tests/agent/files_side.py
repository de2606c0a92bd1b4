"""The core's end of a file server, for tests of the agent: calls over a session's stdin and stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from sandtop.agent.wire import Control, Credit, Data, Decoder, Eof, encode
from sandtop.agent.wire.limits import FILE_WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .core_side import CoreSide, Message


class FileCall:
    """One call, as far as it was answered.

    Attributes:
        opened, answer, failed: the messages that came.
        data: what came of its stream; ``over`` once that has ended.
        held: while set, its data is not acknowledged.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.opened: Message | None = None
        self.answer: Message | None = None
        self.failed: Message | None = None
        self.data = bytearray()
        self.over = False
        self.held = False
        self.sent = 0
        self.room = FILE_WINDOW

    @property
    def ended(self) -> bool:
        return self.over or self.answer is not None or self.failed is not None

    @property
    def rows(self) -> list[list[object]]:
        """What its stream has in lines of JSON."""
        return [
            row
            for line in bytes(self.data).split(b"\n")[:-1]
            for row in cast("list[list[object]]", json.loads(line))
        ]


class FilesSide:
    """Speaks with a file server, the leader of the session ``run``."""

    def __init__(
        self, core: CoreSide, *, watch: bool = False, builtin: Message | None = None, **fields: object
    ) -> None:
        """``builtin``: another server than one for files."""
        self.core = core
        its = builtin or {"name": "files", "watch": watch}
        self.run = core.start(builtin=its, stdin=True, cwd="/", **fields)
        self._decoder = Decoder()
        self._read = 0
        self._calls: dict[int, FileCall] = {}

    def begin(self, do: str, **fields: object) -> FileCall:
        """Send a call."""
        call = FileCall(len(self._calls) + 1)
        self._calls[call.number] = call
        self._send(Control({"type": "call", "call": call.number, "do": do, **fields}))
        return call

    def call(self, do: str, **fields: object) -> FileCall:
        """Send a call and wait for its end."""
        call = self.begin(do, **fields)
        self.finish(call)
        return call

    def write(self, path: object, data: bytes, **fields: object) -> FileCall:
        call = self.begin("write", path=str(path), **fields)
        self.send(call, data)
        self.end(call)
        self.finish(call)
        return call

    def send(self, call: FileCall, data: bytes) -> None:
        """Send ``data``, as far as the call still takes any."""
        view = memoryview(data)
        while view and not call.ended:
            room = min(len(view), call.room - call.sent, 65536)
            if room <= 0:
                self.wait(lambda: call.room > call.sent or call.ended)
                continue
            self._send(Data(call.number, call.sent, bytes(view[:room])))
            call.sent += room
            view = view[room:]

    def end(self, call: FileCall) -> None:
        self._send(Eof(call.number, call.sent))

    def cancel(self, call: FileCall) -> None:
        self._send(Control({"type": "cancel", "call": call.number}))

    def finish(self, call: FileCall) -> None:
        self.wait(lambda: call.ended)

    def wait(self, condition: object) -> None:
        """Serve until ``condition``, or the server has ended."""
        assert callable(condition)
        self.core.wait(
            lambda: self._look() and (bool(condition()) or self.run.ended or self.run.refused is not None)
        )

    def close(self) -> None:
        """Let the server end, and see that it does."""
        self.core.close(self.run)
        self.core.finish(self.run)
        assert self.run.record is not None
        assert self.run.record.get("code") == 0, (self.run.record, self.run.stderr)

    def _send(self, frame: Control | Data | Eof | Credit) -> None:
        self.core.write(self.run, encode(frame))

    def _look(self) -> bool:
        fresh, self._read = self.run.stdout[self._read :], len(self.run.stdout)
        for frame in self._decoder.feed(fresh):
            self._take(frame)
        return True

    def _take(self, frame: object) -> None:
        if isinstance(frame, Control):
            call = self._calls[cast("int", frame.message["call"])]
            kind = frame.message["type"]
            assert kind in ("opened", "answer", "failed")
            setattr(call, str(kind), frame.message)
            return
        assert isinstance(frame, Data | Credit | Eof)
        call = self._calls[frame.stream]
        if isinstance(frame, Credit):
            call.room = frame.limit
        elif isinstance(frame, Eof):
            assert frame.offset == len(call.data)
            call.over = True
        else:
            assert frame.offset == len(call.data)
            call.data += frame.data
            if not call.held:
                self.acknowledge(call)

    def acknowledge(self, call: FileCall) -> None:
        self._send(Credit(call.number, len(call.data), len(call.data) + FILE_WINDOW))

    def __iter__(self) -> Iterator[FileCall]:
        return iter(self._calls.values())
