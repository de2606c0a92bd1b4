"""What shows on a session's terminal, and typing there, on anyio: the SDK's ``screen`` and ``type``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandtop.core.client.link.asynchronous import AsyncConversation
from sandtop.core.client.session.keys import depends_on_mode, key_bytes
from sandtop.core.client.session.looking import Looking, Typing
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.contract.sandbox import SandboxInfo


@dataclass(frozen=True, slots=True)
class Screen:
    """What shows on a terminal.

    Attributes:
        session: the session's id.
        rows, columns: the window's size.
        lines: the rows, from the top, without trailing spaces; no control characters but, if asked for, SGR.
        scrollback: those that left the screen, oldest first, if asked for.
        cursor: its row and column, from 0.
        cursor_visible: whether the program shows it.
        title: what the program called its window.
        alternate_screen: whether a full-screen program has it.
        missing: bytes of output that had fallen to the log's limit when they were to be drawn.
        skipped: bytes of output that were left out because they took too long to draw.
    """

    session: str
    rows: int
    columns: int
    lines: tuple[str, ...]
    scrollback: tuple[str, ...]
    cursor: tuple[int, int]
    cursor_visible: bool
    title: str
    alternate_screen: bool
    missing: int
    skipped: int = 0

    @property
    def text(self) -> str:
        """The rows as one text, without the empty ones at the end."""
        return "\n".join(self.lines).rstrip("\n")


class Terminals:
    """What a sandbox offers on the terminals of its sessions."""

    _info: SandboxInfo

    async def screen(
        self,
        session: str | None = None,
        *,
        scrollback: bool = False,
        ansi: bool = False,
        wait_for: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the core keeps it
    ) -> Screen:
        """What shows on the terminal of ``session``, also when it has ended; of the latest one when None.

        ``wait_for`` is a regular expression (``^`` and ``$`` are a row's): the screen once that is on it. Raises
        `TimedOut` when that takes more than ``timeout`` seconds, `WrongState` when the session ends without it or has
        no terminal, `InvalidRequest` for a pattern that is none, or takes too long to be looked for.
        """
        return _screen(await self._look(session, scrollback, ansi, wait_for, timeout))

    async def type(
        self,
        session: str,
        text: str = "",
        *,
        keys: Sequence[str] = (),
        enter: bool = False,
        take: bool = False,
    ) -> None:
        """Type ``text``, then ``keys`` (``"ctrl-c"``, ``"up"`` …), then enter; return when it has arrived.

        Raises `WrongState` when somebody else holds the input (``take`` takes it) or the session has ended or has no
        terminal, `InvalidRequest` for a key that is none.
        """
        data = os.fsencode(text).replace(b"\r\n", b"\r").replace(b"\n", b"\r")
        application = False
        encoded = [key_bytes(key) for key in keys]
        if any(map(depends_on_mode, keys)):
            looking = await self._look(session, False, False, None, None)
            application = looking.screen.application_cursor
            encoded = [key_bytes(key, application_cursor=application) for key in keys]
        data += b"".join(encoded) + (b"\r" if enter else b"")
        if not data:
            raise InvalidRequest("there is nothing to type")
        await AsyncConversation(Typing(self._info.uuid, session, data, take=take)).run()

    async def _look(
        self, session: str | None, scrollback: bool, ansi: bool, wait_for: str | None, seconds: float | None
    ) -> Looking:
        looking = Looking(
            self._info.uuid, session, scrollback=scrollback, ansi=ansi, wait_for=wait_for, seconds=seconds
        )
        await AsyncConversation(looking).run()
        return looking


def _screen(looking: Looking) -> Screen:
    seen = looking.screen
    return Screen(
        session=looking.session.id,
        rows=seen.rows,
        columns=seen.columns,
        lines=tuple(seen.lines),
        scrollback=tuple(seen.scrollback),
        cursor=(seen.cursor.row, seen.cursor.column),
        cursor_visible=seen.cursor.visible,
        title=seen.title,
        alternate_screen=seen.alternate_screen,
        missing=seen.missing,
        skipped=seen.skipped,
    )
