"""What an agent is asked, until it has answered: each caller waits with a deadline, and a new link asks again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Message = dict[str, object]

_ANSWERS: Final = {"done": "op", "pong": "seq", "processes": "seq"}
"""The types of an agent's answers, and by which field each says what it answers."""


class Requests:
    """The requests to one agent that are not answered; ``send`` puts a message on the link that stands, if one does."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._waiting: dict[tuple[str, str], _Waiting] = {}

    async def ask(self, kind: str, mark: str, message: Message, deadline: float) -> Message:
        """Send ``message``; the agent's answer, a message of type ``kind`` with this ``mark`` in it.

        What is asked already is not sent again: both callers get the one answer. Raises `ChannelError` after
        ``deadline`` seconds.
        """
        waiting = self._waiting.get((kind, mark))
        if waiting is None:
            waiting = self._waiting[kind, mark] = _Waiting(message)
            self._send(message)
        waiting.askers += 1
        try:
            with trio.move_on_after(deadline):
                await waiting.answered.wait()
                return waiting.answer
            raise ChannelError(f"the agent did not answer '{message['type']}' within {deadline:g} s")
        finally:
            waiting.askers -= 1
            if not waiting.askers:
                del self._waiting[kind, mark]

    def take(self, message: Message) -> bool | None:
        """Take what may be an answer; whether somebody waited for it, and None for a message that is no answer."""
        kind = message["type"]
        if not isinstance(kind, str) or kind not in _ANSWERS:
            return None
        mark = message.get(_ANSWERS[kind])
        waiting = self._waiting.get((kind, mark)) if isinstance(mark, str) else None
        if waiting is None or waiting.answered.is_set():
            return False
        waiting.answer = message
        waiting.answered.set()
        return True

    def unanswered(self) -> Iterator[Message]:
        """All that a new link has to send again."""
        return (waiting.message for waiting in self._waiting.values())


class _Waiting:
    """A request that waits for its answer, on behalf of ``askers`` callers."""

    __slots__ = ("answer", "answered", "askers", "message")

    def __init__(self, message: Message) -> None:
        self.askers = 0
        self.message = message
        self.answered = trio.Event()
        self.answer: Message = {}
