"""The warm-up of a machine that is nobody's sandbox yet: a program is run in it.

Under emulation nearly all of a first exec's time goes into translating the code that it runs, the kernel's and the
agent's. What was translated stays with the machine, so that its user's first program then starts as fast as any later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire.limits import MAX_SESSION_NUMBER
from sandtop.core.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.agent.wire import Credit, Data
    from sandtop.core.channel import AgentLink

ROUNDS: Final = 2
_DEADLINE: Final = 20.0
_NUMBER: Final = MAX_SESSION_NUMBER
"""The last session number that there is: no sandbox comes to it."""


class _Ear:
    """Hears how the program ends; what it says is not kept."""

    def __init__(self, session: str) -> None:
        self._session = session
        self.ended = trio.Event()
        self.refused = False

    def link_up(self, hello: Mapping[str, object]) -> None:
        pass

    def link_down(self, reason: str) -> None:
        pass

    def message(self, message: Mapping[str, object]) -> bool:
        if message.get("id") == self._session and message["type"] in ("exited", "refused"):
            self.refused = message["type"] == "refused"
            self.ended.set()
        return True

    def data(self, frame: Data) -> bool:
        return True

    def stdin_credit(self, credit: Credit) -> bool:
        return True

    def drained(self) -> bool:
        return False


async def warm_up(link: AgentLink) -> None:
    """Run ``true`` some times, whether or not the image has it, and leave no trace of it. The agent is configured.

    Raises `ChannelError` when it is refused or does not end in time, or the link breaks.
    """
    before = link.listener
    try:
        for turn in range(ROUNDS):
            session = f"warm-up-{turn}"
            ear = link.listener = _Ear(session)
            link.send(
                {
                    "type": "start",
                    "id": session,
                    "n": _NUMBER - turn,
                    "argv": ["true"],
                    "env": {},
                    "stdin": False,
                }
            )
            with trio.move_on_after(_DEADLINE):
                await ear.ended.wait()
            if not ear.ended.is_set():
                raise ChannelError(f"a first program did not end within {_DEADLINE:g} s")
            if ear.refused:  # nothing ran: it would be as slow as one that just began
                raise ChannelError("the agent refused to run a first program")
            link.send({"type": "release", "id": session})
        await link.ping()  # what it was told to forget, it has forgotten
    finally:
        link.listener = before
