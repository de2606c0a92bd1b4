"""Keys take effect one after the other, however fast they come: what one of them opens gets the next.

Textual hands a key to what has the focus when the key comes, not when the keys before it have done what they do. Over a
slow line several come at once, and the first letters of a search would be commands.
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
"""Seconds for which the next key waits for one that does not come to an end."""
_LOOK: Final = 0.005
_ROUNDS: Final = 2
"""What a key's action says goes up behind the first `KeyDelivered`, and before the second."""


class KeyDelivered(Message):
    """Goes the way that a key went, behind it; whoever sees it knows that the key was there before."""


class TypeAhead:
    """Whose turn it is among the keys of ``app``; ``settled`` tells whether what was opened has the keyboard."""

    def __init__(self, app: App[None], settled: Callable[[], bool]) -> None:
        self._app = app
        self._settled = settled
        self._waiting: deque[Key | Paste] = deque()
        self._called: Key | Paste | None = None
        self._busy = False
        self._rounds = 0
        self._target: MessagePump | None = None
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def may_go(self, event: Key | Paste) -> bool:
        """Whether ``event`` goes on now; else it comes again when it is its turn."""
        if self._busy and event is not self._called:
            self._waiting.append(event)
            return False
        self._busy, self._called = True, None
        self._target = self._app.focused or self._app.screen
        return True

    def went(self) -> None:
        """The event that had its turn was handed on."""
        self._until = asyncio.get_running_loop().time() + PATIENCE
        self._rounds = _ROUNDS
        self._later(PATIENCE)
        self._follow()

    def came_up(self) -> None:
        """A `KeyDelivered` has arrived at the top."""
        self._rounds -= 1
        if self._rounds > 0:
            self._follow()
        elif self._rounds == 0:
            self._look()

    def _follow(self) -> None:
        if self._target is None or not self._target.post_message(KeyDelivered()):
            self._look()  # it is going: nobody is there whom the key could reach

    def _look(self) -> None:
        late = asyncio.get_running_loop().time() >= self._until
        if not late and not self._settled():
            self._later(_LOOK)
            return
        if self._timer is not None:
            self._timer.cancel()
        self._target, self._rounds = None, 0
        self._busy = bool(self._waiting)  # those that come meanwhile are behind them
        if self._waiting:
            self._called = self._waiting.popleft()
            self._app.post_message(self._called)

    def _later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)
