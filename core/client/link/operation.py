"""One request to the core and all that comes back, over as many connections as it takes. Bytes in, frames out; no I/O.

`blocking.Conversation` and `asynchronous.AsyncConversation` carry an operation to its end; what more than one answer
takes (a followed session, a screen, typing) derives from `Operation`.
"""

from __future__ import annotations

from sandtop.agent.wire import Control, Decoder, Frame, ProtocolError
from sandtop.core.errors import CoreFailure, CoreUnavailable, SandtopError, from_wire

from .plain import message_of, opening

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Any, Final

    from sandtop.core.contract.record import Request

HELLO_SECONDS: Final = 30.0
"""A core says hello at once; one that does not for this long is stuck."""


class Operation:
    """A plain request, which one result ends.

    ``request`` is of the contract, or a message that was made without it (`exec_messages`), which is not waited for
    with a limit.

    Attributes:
        greeted: whether the core said hello on this connection.
        result: the fields of the core's ``result``, once it came.
    """

    __slots__ = ("_decoder", "_message", "_quiet", "greeted", "result")

    def __init__(self, request: Request[Any] | dict[str, Any]) -> None:
        self._quiet: float | None = None
        self._message: dict[str, object]
        if isinstance(request, dict):
            self._message = request
        else:
            self._quiet = request.patience()
            self._message = message_of(request)
        self.result: dict[str, object] | None = None
        self._begin()

    def _begin(self) -> None:
        self._decoder = Decoder()
        self.greeted = False

    def opening(self) -> bytes:
        """What to send first on a connection, whether it is the first or another.

        Raises `InvalidRequest` when the request is too large for a frame.
        """
        self._begin()
        return opening(self._message)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames in ``data`` that are the operation's own (events, progress, streams).

        Raises the core's error, `CoreOutdated`, or `CoreFailure` for bytes that make no sense.
        """
        try:
            frames = self._decoder.feed(data)
        except ProtocolError as error:
            raise CoreFailure(
                f"the core sent what this sandtop does not understand: {error}",
                hint="run 'sandtop core stop' and try again",
            ) from error
        return [frame for frame in frames if not (isinstance(frame, Control) and self._own(frame.message))]

    def _own(self, message: dict[str, object]) -> bool:
        kind = message["type"]
        if kind == "hello":
            self.greeted = True
        elif kind == "result":
            self.result = message
        elif kind == "error":
            raise from_wire(message)
        else:
            return False
        return True

    def pull(self) -> bytes | None:
        """The next bytes to send; None when there are none now."""
        return None

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.result is not None

    @property
    def progress(self) -> int:
        """How many bytes have come and gone for good. A connection that does not add to it was of no use."""
        return 0

    @property
    def patience(self) -> float | None:
        """Seconds that the core may say nothing now; None for as long as it likes."""
        return self._patience if self.greeted else HELLO_SECONDS

    @property
    def _patience(self) -> float | None:
        return self._quiet

    def silence(self, seconds: float) -> SandtopError:
        """The error of a core that has said nothing for ``seconds``."""
        return CoreUnavailable(
            f"the core has not answered for {seconds:.0f} s", hint="see 'sandtop core status' and its log"
        )


class Holding(Operation):
    """``sandbox.hold``: what keeps a sandbox as long as its connection is there; it has no result.

    Attributes:
        held: whether the core said so on this connection.
    """

    __slots__ = ("held",)

    def _begin(self) -> None:
        super()._begin()
        self.held = False

    def feed(self, data: bytes) -> list[Frame]:
        frames = super().feed(data)
        self.held = self.held or any(
            isinstance(frame, Control) and frame.message["type"] == "held" for frame in frames
        )
        return frames

    @property
    def _patience(self) -> float | None:
        return None  # nothing more comes
