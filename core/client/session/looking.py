"""What shows on a session's terminal, and typing there: the requests and what comes back. No I/O."""

from __future__ import annotations

import json
import time

from sandtop.agent.wire import Data
from sandtop.core.client.link.operation import Operation
from sandtop.core.client.link.plain import new_id
from sandtop.core.contract.record import QUIET_SECONDS, is_object
from sandtop.core.contract.session import SessionFollow, SessionScreen
from sandtop.core.contract.session_results import Screen
from sandtop.core.errors import ChannelError, CoreFailure, SandtopError, WrongState

from .following import MOST_SCREEN, SCREEN, STDERR, STDOUT, Following
from .tty import label

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

    from sandtop.agent.wire import Frame
    from sandtop.core.contract.session_results import SessionInfo

TYPE_SECONDS: Final = 10.0
"""How long what is typed may take to arrive."""


class Looking(Operation):
    """The question what shows on a terminal, over as many connections as it takes.

    With ``wait_for``, a regular expression, it is answered once that shows; ``seconds`` bound that, from now on.
    """

    __slots__ = ("_asked", "_data", "_until")

    def __init__(
        self,
        sandbox: str,
        session: str | None,
        *,
        scrollback: bool,
        ansi: bool,
        wait_for: str | None,
        seconds: float | None,
    ) -> None:
        self._asked = SessionScreen(
            sandbox=sandbox, session=session, scrollback=scrollback, ansi=ansi, wait_for=wait_for
        )
        super().__init__(self._asked)
        self._until = None if seconds is None else time.monotonic() + seconds
        self._data = bytearray()

    @property
    def _patience(self) -> float | None:
        if self._message["wait_for"] is None:
            return QUIET_SECONDS
        return None if self._until is None else self._left + QUIET_SECONDS

    @property
    def _left(self) -> float:
        return 0.0 if self._until is None else max(0.0, self._until - time.monotonic())

    def opening(self) -> bytes:
        self._message["timeout"] = None if self._until is None else self._left
        self._data.clear()
        return super().opening()

    def feed(self, data: bytes) -> list[Frame]:
        for frame in super().feed(data):
            if isinstance(frame, Data) and frame.stream == SCREEN:
                self._data += frame.data
                if len(self._data) > MOST_SCREEN:
                    raise CoreFailure("the core describes a screen that makes no sense", hint="see its log")
        return []

    @property
    def screen(self) -> Screen:
        """What shows, once the operation is over."""
        from sandtop.core.contract.codec import decode_result

        try:
            seen: object = json.loads(self._data)
        except ValueError:
            seen = None
        if not is_object(seen):
            raise CoreFailure("the core describes a screen that makes no sense", hint="see its log")
        return decode_result(Screen, seen)

    @property
    def session(self) -> SessionInfo:
        """The session that was looked at, once the operation is over."""
        from sandtop.core.client.link.answers import answer

        return answer(self._asked, self.result).session


class Typing(Following):
    """Types ``data`` into a session's terminal, as its only keyboard for as long as that takes."""

    __slots__ = ("_left", "_sandbox", "_typed", "_until")

    def __init__(self, sandbox: str, session: str, data: bytes, *, take: bool) -> None:
        request = SessionFollow(
            sandbox=sandbox,
            session=session,
            input=True,
            take=take,
            client=new_id(),
            label=f"sandtop type, {label()}",
            output=False,
        )
        super().__init__(request, stdin=True, offsets={STDOUT: 0, STDERR: 0})
        self._sandbox = sandbox
        self._left = data
        self._typed = False
        self._until = time.monotonic() + TYPE_SECONDS

    @property
    def over(self) -> bool:
        # a key may end the session, whose end then comes with the word that the key arrived
        return not self._left and self._typed and self.input_arrived

    @property
    def _patience(self) -> float | None:
        return max(0.001, self._until - time.monotonic())

    def silence(self, seconds: float) -> SandtopError:
        return self._late() if self.greeted else super().silence(seconds)

    def feed(self, data: bytes) -> list[Frame]:
        """As `Following.feed`. Raises `WrongState` when not all will arrive, `ChannelError` when it takes too long."""
        frames = super().feed(data)
        if not self.over and (self.result is not None or self.input_lost):
            why = "it has ended" if self.result is not None else "another client took its input over"
            raise WrongState(f"not all was typed into session {self.session}: {why}", sandbox=self._sandbox)
        if not self.over and time.monotonic() >= self._until:
            raise self._late()
        return frames

    def pull(self) -> bytes | None:
        """As `Following.pull`, behind as much of what is to be typed as there is room for."""
        if room := min(self.room, len(self._left)):
            self.write(self._left[:room])
            self._left = self._left[room:]
            self._typed = True
            self._until = time.monotonic() + TYPE_SECONDS
        return super().pull()

    def _late(self) -> ChannelError:
        return ChannelError(
            f"what was typed did not arrive within {TYPE_SECONDS:g} s",
            sandbox=self._sandbox,
            hint="is the sandbox paused, or does the program not read?",
        )
