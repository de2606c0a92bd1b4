"""Which ended sessions, and whose logs, are removed to keep within the settings."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from sandtop.core.errors import StorageError
from sandtop.core.sessions import left

if TYPE_CHECKING:
    from sandtop.core.sessions.manager import SessionManager
    from sandtop.core.settings import Settings

log = logging.getLogger(__name__)


async def retire(sessions: SessionManager, settings: Settings) -> None:
    """Remove what is beyond ``settings``: the oldest ended sessions, then the oldest logs of those that stay.

    Sessions that a client follows stay, and those that left processes running. When the database cannot be written a
    warning is logged, and the next call tries again.
    """
    ended = [session for session in sessions.all() if session.ended and not session.attached]
    surplus = max(len(ended) - settings.sessions_kept, 0)
    gone = left.removable(ended)[:surplus]
    for session in gone:
        if session.attached or sessions.find(session.row.id) is None:
            continue  # followed or removed meanwhile
        try:
            sessions.remove(session)
        except StorageError as error:
            log.warning("the old session %s cannot be removed: %s", session.row.id, error)
            break
        await trio.lowlevel.checkpoint()
    running = [session for session in sessions.all() if not session.ended]
    room = settings.sandbox_log_bytes - sum(session.log.kept for session in running)
    if room < 0:
        for session in running:
            session.log.trim_to(settings.sandbox_log_bytes // len(running))
    for session in reversed([each for each in ended if each not in gone]):
        stored = session.log.kept
        room -= stored
        if room < 0 and stored:
            session.log.clear()
            await trio.lowlevel.checkpoint()
