"""The loop of the file server: calls in by its stdin, answers out by its stdout, each call a step at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import time

from ..wire import Control, Credit, Data, Decoder, Outbox, ProtocolError, values
from ..wire.limits import MAX_CALLS, MAX_SESSION_NUMBER
from ..wire.values import InvalidMessage
from .call import Call, Refused

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from ..wire import Eof, Frame
    from .call import Fields, Operation

_READ: Final = 256 * 1024
_CAPACITY: Final = 1 << 20
"""Bytes that its pipes hold: each switch between agent and server costs as much as many of them."""
_SIGN_OF_LIFE: Final = 5.0
"""Seconds after which the core is told that a call is still being carried out."""


class Server:
    """Answers calls by ``operations`` until the core closes ``reader`` or nobody has the other end of ``writer``."""

    def __init__(self, operations: Mapping[str, Operation], reader: int = 0, writer: int = 1) -> None:
        self._operations = operations
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._outbox = Outbox()
        self._calls: dict[int, Call] = {}
        self._ending: list[Call] = []  # those whose stream has still to go out
        self._pending: bytes | memoryview = b""
        self._over = False

    def run(self) -> int:
        """Returns the exit status. Raises ProtocolError."""
        for fd in (self._reader, self._writer):
            os.set_blocking(fd, False)
            try:
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _CAPACITY)
            except OSError:  # as for a user who has many pipes: it keeps the usual capacity
                continue
        try:
            while not self._over:
                busy = self._step()
                self._flush()
                self._wait(busy=busy)
        finally:
            for call in list(self._calls.values()):
                call.close()
        return 0

    # waiting

    def _wait(self, *, busy: bool) -> None:
        """Wait for something to do; with ``busy`` only look. Take what came."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        if self._pending:
            poll.register(self._writer, select.POLLOUT)
        for call in self._calls.values():
            if call.listens >= 0 and not call.full:
                poll.register(call.listens, select.POLLIN)
        for fd, _events in poll.poll(0 if busy and not self._pending else -1):
            if fd == self._reader:
                self._receive()

    def _receive(self) -> None:
        try:
            data = os.read(self._reader, _READ)
        except BlockingIOError:
            return
        if not data:
            self._over = True
        for frame in self._decoder.feed(data):
            self._take(frame)

    def _flush(self) -> None:
        """Write as much as is taken."""
        while not self._over:
            if not self._pending:
                self._pending = self._outbox.batch()
                self._forget_sent()
                if not self._pending:
                    return
            try:
                count = os.write(self._writer, self._pending)
            except BlockingIOError:
                return
            except BrokenPipeError:
                self._over = True
                return
            self._pending = b"" if count == len(self._pending) else memoryview(self._pending)[count:]

    def _forget_sent(self) -> None:
        if self._ending:
            for call in self._ending:
                if call.out is not None and call.out.eof_sent:
                    self._outbox.remove(call.number)
            self._ending = [one for one in self._ending if one.out is not None and not one.out.eof_sent]

    # what the core says

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Control):
            self._control(frame.message)
        elif isinstance(frame, Credit):
            self._outbox.take_credit(frame)
        elif (call := self._calls.get(frame.stream)) is not None:
            self._data(call, frame)

    def _data(self, call: Call, frame: Data | Eof) -> None:
        if isinstance(frame, Data):
            call.take(frame.offset, frame.data)
        else:
            call.finish(frame.offset)

    def _control(self, message: Fields) -> None:
        try:
            number = values.integer(message, "call", 1, MAX_SESSION_NUMBER)
        except InvalidMessage as error:
            raise ProtocolError(str(error)) from error
        if message["type"] == "cancel":
            self._drop(number)
        elif message["type"] == "call":
            if number in self._calls or len(self._calls) >= MAX_CALLS:
                raise ProtocolError(f"call {number} beside {len(self._calls)} others")
            self._begin(number, message)

    def _begin(self, number: int, message: Fields) -> None:
        call = Call(number, self._outbox)
        try:
            operation = self._operations.get(values.text(message, "do"))
            if operation is None:
                raise Refused(errno.ENOSYS, "this sandbox's agent does not know how to do that")
            steps = operation(message, call)
        except (OSError, Refused, InvalidMessage) as error:
            self._failed(call, error)
            return
        if isinstance(steps, dict):
            self._say("answer", call, steps)
            return
        call.steps = steps
        self._calls[number] = call

    def _drop(self, number: int) -> None:
        """Nobody wants this call any more."""
        call = self._calls.pop(number, None)
        if call is not None:
            call.close()
        self._outbox.remove(number)

    # the calls

    def _step(self) -> bool:
        """Let each call take a step; whether one can take another at once."""
        busy = False
        for call in list(self._calls.values()):
            if not call.full:
                busy |= self._step_one(call)
        return busy

    def _step_one(self, call: Call) -> bool:
        assert call.steps is not None
        held, now = len(call.pieces), time.monotonic()
        try:
            made = next(call.steps)
        except StopIteration as ended:
            answer: Fields | None = ended.value
            self._end(call, answer or {})
            return False
        except (OSError, Refused, InvalidMessage) as error:
            del self._calls[call.number]
            self._outbox.remove(call.number)
            self._failed(call, error)
            return False
        if isinstance(made, bytes):
            call.send(made)
        elif isinstance(made, dict):
            self._say("opened", call, made)
        elif made and now > call.silent_since + _SIGN_OF_LIFE:
            call.silent_since = now
            self._say("alive", call, {})
        if len(call.pieces) < held and (credit := call.used()) is not None:
            self._outbox.credit(credit)
        return made is not False

    def _end(self, call: Call, answer: Fields) -> None:
        del self._calls[call.number]
        if call.out is None:
            self._say("answer", call, answer)
            return
        call.out.close()  # which is the answer: a message would overtake what is still to be sent
        self._outbox.wake(call.number)
        self._ending.append(call)

    def _failed(self, call: Call, error: OSError | Refused | InvalidMessage) -> None:
        number, why, path = errno.EINVAL, str(error), None
        if isinstance(error, OSError):
            number, why = error.errno or errno.EIO, error.strerror or str(error)
            path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else None
        elif isinstance(error, Refused):
            number = error.errno
        self._say("failed", call, {"errno": number, "why": why, "path": path})

    def _say(self, kind: str, call: Call, fields: Fields) -> None:
        self._outbox.control({"type": kind, "call": call.number, **fields})
