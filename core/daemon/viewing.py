"""Where a client's view of a terminal begins, and where it goes on when the client cannot follow."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import Control, Frame, split
from sandtop.core.contract.session_events import ScreenBegins
from sandtop.core.errors import CoreFailure
from sandtop.core.screens.process import WorkerGone
from sandtop.core.session_folder import Checkpoint, load
from sandtop.core.sessions import STDOUT

if TYPE_CHECKING:
    from sandtop.core.contract.session import SessionExec, SessionFollow
    from sandtop.core.screens.screens import Screens
    from sandtop.core.sessions import Session

log = logging.getLogger(__name__)
SCREEN: Final = 3
"""The stream of a client's connection that carries a screen."""
FAR: Final = 4 << 20
"""Bytes of a terminal's output that a client may be behind; one that is further gets the screen instead of them."""
_REPLAYED: Final = 1 << 20
"""Bytes of a terminal's past that a client makes the screen from when there is nothing better."""


@dataclass(frozen=True, slots=True)
class View:
    """What a client does with a session's output.

    Attributes:
        terminal: it is a terminal: it takes a screen in place of bytes.
        fresh: it has nothing yet, and wants the screen first.
        output: it wants output at all.
        size: rows and columns of its window, which becomes the session's if it holds the input.
    """

    terminal: bool = False
    fresh: bool = False
    output: bool = True
    size: tuple[int, int] | None = None


def view_of_new(request: SessionExec) -> View:
    """The view of the client that starts a session.

    It has all the output from the first byte on, so it needs no screen: but for one whose core died when half a screen
    had come, which asks for another by an offset of null.
    """
    return View(request.terminal, fresh=request.terminal and request.stdout is None)


def view_of_follower(request: SessionFollow) -> View:
    """The view of a client that comes to a session; a terminal without an offset has nothing yet."""
    size = None
    if request.rows is not None and request.columns is not None:
        size = request.rows, request.columns
    return View(request.terminal, request.terminal and request.stdout is None, request.output, size)


@dataclass(frozen=True, slots=True)
class Beginning:
    """``frames`` show a client all that was written before ``offset``, at which its output begins.

    Up to ``live_from`` the output is the past: what it asks of a terminal was answered.
    """

    offset: int
    live_from: int
    frames: list[Frame]


async def begin(screens: Screens, session: Session) -> Beginning:
    """The screen as it is now. Without the screen worker: its last checkpoint and what was written since."""
    try:
        exact = await screens.dump(session)
    except (WorkerGone, CoreFailure) as error:
        log.warning("the screen of %s is made from its checkpoint: %s", session.row.id, error)
    else:
        return Beginning(exact.offset, exact.offset, _frames(exact, session))
    kept = await trio.to_thread.run_sync(load, session.log.folder)
    first, end = session.log.first(STDOUT), session.log.end(STDOUT)
    if kept is not None and first <= kept.offset <= end:
        return Beginning(kept.offset, end, _frames(kept, session))
    return Beginning(max(first, end - _REPLAYED), end, [])


def _frames(screen: Checkpoint, session: Session) -> list[Frame]:
    tty = session.tty
    assert tty is not None
    later = [size for size in tty.sizes if size.number > screen.number]
    head = ScreenBegins(
        offset=screen.offset,
        rows=screen.rows,
        columns=screen.columns,
        bytes=len(screen.dump),
        sizes=[[size.offset, size.rows, size.columns] for size in later],
    )
    return [Control(head.message()), *split(SCREEN, 0, screen.dump)]
