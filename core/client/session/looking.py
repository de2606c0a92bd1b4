"""What shows on a session's terminal, and typing there: the requests and what comes back. No I/O."""

from __future__ import annotations

import json
import time

from sandtop.agent.wire import Data
from sandtop.core.client.link.exchange import Exchange, as_object
from sandtop.core.client.link.plain import QUIET_SECONDS, new_id, request
from sandtop.core.errors import ChannelError, CoreFailure, WrongState

from .following import MOST_SCREEN, SCREEN, STDERR, STDOUT, Following
from .tty import label

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

    from sandtop.agent.wire import Frame

_FOR_EVER: Final = 1e8
TYPE_SECONDS: Final = 10.0
"""How long what is typed may take to arrive."""


class Looking:
    """The question what shows on a terminal, over as many connections as it takes.

    With ``wait_for``, a regular expression, it is answered once that shows; ``seconds`` bound that, from now on.
    """

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
        self._fields: dict[str, object] = {
            "sandbox": sandbox,
            "session": session,
            "scrollback": scrollback,
            "ansi": ansi,
            "wait_for": wait_for,
        }
        self._until = None if seconds is None else time.monotonic() + seconds
        self._exchange = Exchange(request("session.screen", self._fields))
        self._data = bytearray()

    @property
    def greeted(self) -> bool:
        return self._exchange.greeted

    @property
    def patience(self) -> float:
        """Seconds that the core may say nothing."""
        if self._fields["wait_for"] is None:
            return QUIET_SECONDS
        return _FOR_EVER if self._until is None else self._left + QUIET_SECONDS

    @property
    def _left(self) -> float:
        return 0.0 if self._until is None else max(0.0, self._until - time.monotonic())

    def opening(self) -> bytes:
        """What to send first on a connection."""
        left = None if self._until is None else self._left
        self._exchange = Exchange(request("session.screen", {**self._fields, "timeout": left}))
        self._data.clear()
        return self._exchange.opening()

    def feed(self, data: bytes) -> list[Frame]:
        """Take what came. Raises what the core reports."""
        for frame in self._exchange.feed(data):
            if isinstance(frame, Data) and frame.stream == SCREEN:
                self._data += frame.data
                if len(self._data) > MOST_SCREEN:
                    raise CoreFailure("the core describes a screen that makes no sense", hint="see its log")
        return []

    @property
    def answer(self) -> dict[str, object] | None:
        """What shows (`sandtop.core.screens.look`), with the ``session``; None as long as it has not come."""
        result = self._exchange.result
        if result is None:
            return None
        try:
            seen = as_object(json.loads(self._data))
        except ValueError as error:
            raise CoreFailure(f"the core describes a screen that makes no sense: {error}") from error
        return {**seen, "session": as_object(result.get("session"))}


class Typing(Following):
    """Types ``data`` into a session's terminal, as its only keyboard for as long as that takes."""

    __slots__ = ("_left", "_sandbox", "_typed", "_until")

    def __init__(self, sandbox: str, session: str, data: bytes, *, take: bool) -> None:
        fields: dict[str, object] = {
            "sandbox": sandbox,
            "session": session,
            "input": True,
            "take": take,
            "client": new_id(),
            "label": f"sandtop type, {label()}",
            "output": False,
        }
        super().__init__(request("session.follow", fields), stdin=True, offsets={STDOUT: 0, STDERR: 0})
        self._sandbox = sandbox
        self._left = data
        self._typed = False
        self._until = time.monotonic() + TYPE_SECONDS

    @property
    def seconds(self) -> float:
        """How long to wait for the core before the next `step`."""
        return max(0.001, self._until - time.monotonic())

    def step(self) -> bool:
        """Write what there is room for. Whether all has arrived.

        Raises `WrongState` when it never will, `ChannelError` when it takes too long.
        """
        # a key may end the session, whose end then comes with the word that the key arrived
        if not self._left and self._typed and self.input_arrived:
            return True
        if self.result is not None or self.input_lost:
            why = "it has ended" if self.result is not None else "another client took its input over"
            raise WrongState(f"not all was typed into session {self.session}: {why}", sandbox=self._sandbox)
        if room := min(self.room, len(self._left)):
            self.write(self._left[:room])
            self._left = self._left[room:]
            self._typed = True
            self._until = time.monotonic() + TYPE_SECONDS
        if time.monotonic() >= self._until:
            raise ChannelError(
                f"what was typed did not arrive within {TYPE_SECONDS:g} s",
                sandbox=self._sandbox,
                hint="is the sandbox paused, or does the program not read?",
            )
        return False
