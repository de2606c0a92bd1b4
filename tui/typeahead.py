"""One key at a time: the next is handed on when the one before has taken effect and what it opened has the focus.

Textual gives a key to whatever has the focus when the key arrives. Over a slow line several keys arrive at once: ``/``
would open a filter, and the letters of the filter behind it would still be commands of the list. So keys wait in a
queue until the key before them is done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from textual.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App
    from textual.events import Key, Paste
    from textual.message_pump import MessagePump

PATIENCE: Final = 1.0
"""Seconds after which the next key is handed on even when the one before is not done."""
_LOOK: Final = 0.005
"""Seconds between two looks at whether what a key opened has the focus."""
_ROUNDS: Final = 2
"""How many `KeyDelivered` follow a key. What a key's action posts goes up behind the first and before the second."""


class KeyDelivered(Message):
    """Posted behind a key to the widget that got the key, from which both go up to the app.

    Messages keep their order, so when it arrives at the app every widget on the way has handled the key.
    """


class TypeAhead:
    """The queue of keys of ``app``. ``settled`` tells whether what was opened last has the focus."""

    def __init__(self, app: App[None], settled: Callable[[], bool]) -> None:
        self._app = app
        self._settled = settled
        self._waiting: deque[Key | Paste] = deque()
        self._next: Key | Paste | None = None  # posted to the app again, since its turn has come
        self._busy = False
        self._rounds = 0
        self._target: MessagePump | None = None
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, event: Key | Paste) -> bool:
        """Whether ``event`` is handed on now. If not it is kept, and posted to the app again when its turn comes."""
        if self._busy and event is not self._next:
            self._waiting.append(event)
            return False
        self._busy, self._next = True, None
        self._target = self._app.focused or self._app.screen
        return True

    @property
    def busy(self) -> bool:
        """Whether a key is under way, or waits for its turn."""
        return self._busy

    def handed_on(self) -> None:
        """The admitted event was given to the widgets."""
        self._until = asyncio.get_running_loop().time() + PATIENCE
        self._rounds = _ROUNDS
        self._look_in(PATIENCE)
        self._send_behind()

    def delivered(self) -> None:
        """A `KeyDelivered` has arrived at the app."""
        self._rounds -= 1
        if self._rounds > 0:
            self._send_behind()
        elif self._rounds == 0:
            self._look()

    def _send_behind(self) -> None:
        if self._target is None or not self._target.post_message(KeyDelivered()):
            self._look()  # the widget is closing and takes no more messages

    def _look(self) -> None:
        """Call the next key when the one before is done, or has taken too long."""
        late = asyncio.get_running_loop().time() >= self._until
        if not late and not self._settled():
            self._look_in(_LOOK)
            return
        if self._timer is not None:
            self._timer.cancel()
        self._target, self._rounds = None, 0
        self._busy = bool(self._waiting)  # keys that arrive meanwhile queue up behind those that wait
        if self._waiting:
            self._next = self._waiting.popleft()
            self._app.post_message(self._next)

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)
