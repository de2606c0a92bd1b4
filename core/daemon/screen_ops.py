"""``session.screen``: what shows on a session's terminal, now or once something shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from sandtop.agent.wire import encode, split
from sandtop.core.contract.session import SessionScreen
from sandtop.core.contract.session_results import ScreenAnswer
from sandtop.core.daemon.dispatch import serves
from sandtop.core.daemon.session_ops import find_session
from sandtop.core.daemon.viewing import SCREEN
from sandtop.core.daemon.views import session_view
from sandtop.core.errors import NotFound, TimedOut, WrongState
from sandtop.core.groups import unwrapped
from sandtop.core.sessions import STDOUT

if TYPE_CHECKING:
    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.dispatch import Core
    from sandtop.core.fleet import Fleet, Sandbox
    from sandtop.core.sessions import Session


@serves(SessionScreen)
async def screen(core: Core, request: SessionScreen, connection: Connection) -> ScreenAnswer:
    sandbox, session = _find(core.fleet, request)
    name, key, wait_for = sandbox.name, session.row.id, request.wait_for
    seen = b""
    try:
        with unwrapped():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.until_gone)
                seen = await core.fleet.screens.look(
                    session,
                    scrollback=request.scrollback,
                    ansi=request.ansi,
                    wait_for=wait_for,
                    seconds=math.inf if request.timeout is None else request.timeout,
                )
                nursery.cancel_scope.cancel()
    except TimeoutError:
        raise TimedOut(
            f"{wait_for!r:.80} did not show on the screen of session {key} in time",
            sandbox=name,
            hint=f"sandtop screen {name} {key} shows what does",
        ) from None
    for piece in split(SCREEN, 0, seen):
        await connection.send_bytes(encode(piece))
    return ScreenAnswer(session=session_view(sandbox, session), bytes=len(seen))


def _find(fleet: Fleet, request: SessionScreen) -> tuple[Sandbox, Session]:
    """The session meant: without a name the sandbox's latest with a terminal, one that runs before any other."""
    if request.session is None and request.sandbox is not None:
        sandbox = fleet.history(request.sandbox)
        terminals = [session for session in sandbox.sessions.all() if session.row.tty]
        if not terminals:
            raise NotFound(
                f"nothing has run on a terminal in {sandbox.name} yet",
                sandbox=sandbox.name,
                hint=f"sandtop attach {sandbox.name}, or sandtop exec -d -t {sandbox.name} -- COMMAND",
            )
        return sandbox, next((session for session in reversed(terminals) if not session.ended), terminals[-1])
    sandbox, session = find_session(fleet, request.sandbox, request.session)
    name, key = sandbox.name, session.row.id
    if not session.row.tty:
        raise WrongState(
            f"session {key} has no terminal",
            sandbox=name,
            hint=f"sandtop logs {name} {key} shows what it wrote",
        )
    if session.record is not None and session.record.stdout and not session.log.end(STDOUT):
        raise NotFound(f"the screen of session {key} was removed to keep within the settings", sandbox=name)
    return sandbox, session
