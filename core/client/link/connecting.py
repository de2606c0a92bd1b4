"""A TCP connection into a sandbox, and ports of the host that lead there: as their client sees them. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.agent.wire import Control, Credit, Data, Intake, Outbox, ProtocolError, SendStream
from sandtop.core.contract.codec import decode_result
from sandtop.core.contract.sandbox import Forwarding
from sandtop.core.errors import ChannelError, CoreFailure

from .operation import Operation
from .recovery import Recovery

if TYPE_CHECKING:
    from sandtop.agent.wire import Frame
    from sandtop.core.contract.sandbox import SandboxConnect, SandboxForward

_UP: Final = 0
_DOWN: Final = 1
_WINDOW: Final = 256 * 1024


class Connecting(Operation):
    """``sandbox.connect``.

    Attributes:
        address: where in the sandbox the program was found; None until the connection stands.
        intake: what has come and was not taken.
    """

    __slots__ = ("_outbox", "_up", "address", "intake")

    def __init__(self, request: SandboxConnect) -> None:
        super().__init__(request)
        self.address: str | None = None
        self.intake = Intake(_DOWN, _WINDOW)
        self._up = SendStream(_UP)
        self._outbox = Outbox()
        self._outbox.add(self._up)

    def feed(self, data: bytes) -> list[Frame]:
        """None: it takes all that comes. Raises the core's error, or `CoreFailure`."""
        try:
            for frame in super().feed(data):
                self._take(frame)
        except ProtocolError as error:
            raise CoreFailure(f"the core broke its protocol: {error}", hint="see the core's log") from error
        return []

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Control):
            if frame.message["type"] == "connected":
                self.address = str(frame.message.get("address"))
                self._outbox.credit(self.intake.begin())
        elif isinstance(frame, Credit):
            self._outbox.take_credit(frame)
        elif isinstance(frame, Data):
            self.intake.take(frame.offset, frame.data)
        else:
            self._outbox.credit(self.intake.finish(frame.offset))

    def take(self, most: int) -> bytes:
        """Up to ``most`` of the bytes that have come; empty when none wait."""
        piece = bytes(self.intake.first[:most])
        if piece and (credit := self.intake.drop(len(piece))) is not None:
            self._outbox.credit(credit)
        return piece

    @property
    def room(self) -> int:
        """How many bytes `write` takes now: no more than there is credit for."""
        return self._up.limit - self._up.end

    @property
    def ended(self) -> bool:
        """Whether `close` was called."""
        return self._up.final is not None

    def write(self, data: bytes) -> None:
        """Send ``data``. The caller keeps to `room`."""
        self._up.write(data)
        self._outbox.wake(_UP)

    def close(self) -> None:
        """No more will be sent."""
        self._up.close()
        self._outbox.wake(_UP)

    def pull(self) -> bytes | None:
        return self._outbox.batch() or None

    @property
    def _patience(self) -> float | None:
        return None if self.address is not None else super()._patience


class Unrepeated(Recovery):
    """The decisions of a connection, which cannot go on where it broke: with it goes the program's side of it."""

    __slots__ = ("_connecting", "_where")

    def __init__(self, connecting: Connecting, where: str) -> None:
        """``where``: what it leads to, for people."""
        super().__init__()
        self._connecting = connecting
        self._where = where

    def broke(self, now: float) -> float:
        if self._connecting.address is not None:
            raise ChannelError(f"the connection to {self._where} broke: the core went away")
        return super().broke(now)


class Forward(Operation):
    """``sandbox.forward``, on as many connections as it takes: a core that comes back listens on the same ports.

    Attributes:
        forwarding: where the core listens, once it does.
        times: how often it began to.
    """

    __slots__ = ("forwarding", "times")

    def __init__(self, request: SandboxForward) -> None:
        super().__init__(request)
        self.forwarding: Forwarding | None = None
        self.times = 0

    def feed(self, data: bytes) -> list[Frame]:
        frames = super().feed(data)
        for frame in frames:
            if isinstance(frame, Control) and frame.message["type"] == Forwarding.kind:
                self.forwarding = decode_result(Forwarding, frame.message)
                self._message["ports"] = [port.to_json() for port in self.forwarding.ports]
                self.times += 1
        return frames

    @property
    def progress(self) -> int:
        return self.times

    @property
    def _patience(self) -> float | None:
        return None if self.times else super()._patience
