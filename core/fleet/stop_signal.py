"""The signal by which an image says that its programs are asked to end, where that is not SIGTERM."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import SandtopError

if TYPE_CHECKING:
    from sandtop.core.channel.link import AgentLink
    from sandtop.core.sessions.manager import SessionManager

_REAL_TIME: Final = re.compile(r"RT(MIN|MAX)(?:([+-])([0-9]{1,2}))?")


def number_of(text: str) -> int | None:
    """The number of ``SIGQUIT``, ``QUIT``, ``3`` or ``SIGRTMIN+3``; None where there is none, and for SIGTERM."""
    name = text.upper().removeprefix("SIG")
    if name.isascii() and name.isdecimal():
        number = int(name)
    elif (found := _REAL_TIME.fullmatch(name)) is not None:
        base = signal.SIGRTMIN if found[1] == "MIN" else signal.SIGRTMAX
        number = int(base) + int(f"{found[2] or '+'}{found[3] or 0}")
    else:
        known = signal.Signals.__members__.get(f"SIG{name}")
        number = 0 if known is None else int(known)
    return number if 0 < number < signal.NSIG and number != signal.SIGTERM else None


async def ask_to_end(link: AgentLink, sessions: SessionManager, number: int, seconds: float) -> float:
    """Send the signal to each session's program, and wait for their ends. What of the ``seconds`` is left then.

    Programs that stay get SIGTERM next, like all others.
    """
    began = trio.current_time()
    asked = sessions.open
    with trio.move_on_after(seconds):
        for session in asked:
            try:
                await link.request(
                    {"type": "signal", "id": session.row.id, "signal": number, "scope": "leader"}, seconds
                )
            except SandtopError:
                continue  # it has ended, or the agent does not answer: what follows finds out
            session.was_sent(number, "sandtop stop")
        for session in asked:
            while not session.ended:
                await session.wait_for_news()
    return max(0.0, seconds - (trio.current_time() - began))
