"""Joins panes and sessions: output goes into the pane, and what is typed in a terminal's pane goes to the program."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import CoreUnavailable, SandtopError, WrongState
from sandtop.tui import gateway
from sandtop.tui.stream.attachment import Attachment
from sandtop.tui.stream.merged import merge
from sandtop.tui.stream.tail import tail
from sandtop.tui.text import neutral
from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.merged_pane import MergedPane
from sandtop.tui.widgets.terminal_pane import TerminalPane

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from sandtop.core.client.sdk import SandboxInfo
    from sandtop.tui.notices import Notice
    from sandtop.tui.store import FleetView
    from sandtop.tui.widgets.pane import Pane

    from .base import ConsoleScreen

FIRST_LINES: Final = 2000
"""Lines that a log opens with; ``g`` reads more."""
MERGED_LINES: Final = 500
"""Lines of each session that the logs of several sandboxes open with."""
ALL_LINES: Final = 400_000
"""Lines that ``g`` reads at most."""
_SIZE_SECONDS: Final = 5.0
"""How long a terminal waits for its pane's size."""


class Streams:
    """One stream for each pane, run by a worker of the pane, which ends with it."""

    def __init__(self, screen: ConsoleScreen) -> None:
        self._screen = screen
        self._shells: dict[str, SandboxInfo] = {}
        self._attachments: dict[str, Attachment] = {}
        self._detached: dict[str, Notice] = {}
        """By session: the notice that says how to come back to it, while it shows."""
        self._told: dict[str, Notice] = {}
        """By pane: the notice that says who types there, while it shows."""

    def begin_with(self, pane: Pane, shell: SandboxInfo) -> None:
        """When the stream of ``pane`` starts, start a shell in the sandbox ``shell`` for it."""
        self._shells[pane.id or ""] = shell

    def run(self, pane: Pane) -> None:
        """Start the stream of ``pane``, in place of the one that it has."""
        if isinstance(pane, MergedPane):
            work = self._merge(pane)
        elif isinstance(pane, LogPane):
            work = self._tail(pane, ALL_LINES if pane.wants_all else FIRST_LINES)
        else:
            assert isinstance(pane, TerminalPane)
            work = self._step_in(pane, self._shells.pop(pane.id or "", None))
        pane.run_worker(work, group="stream", exclusive=True, exit_on_error=False)

    def attach_again(self, pane: TerminalPane, *, typing: bool, taking: bool = False) -> None:
        """Attach anew: ``typing`` to hold the session's input, ``taking`` to take it from whoever holds it."""
        if typing:
            self.have_seen(pane)
            pane.terminal.live = pane.terminal.awaiting = True
        pane.typing, pane.taking = typing, taking
        pane.failure = ""
        pane.renew()
        self.run(pane)

    def have_seen(self, pane: Pane) -> None:
        """Take away the notice that says who types in ``pane``: it was read, or is no longer true."""
        if (told := self._told.pop(pane.id or "", None)) is not None:
            self._screen.console_app.notices.settle(told)

    def tell(self, pane: Pane, text: str) -> None:
        """Say who types in ``pane``. An error that says so, and shows, is not replaced."""
        notices, told = self._screen.console_app.notices, self._told.get(pane.id or "")
        if told is None or told.kind != "error" or not notices.says(told):
            self.have_seen(pane)
            self._told[pane.id or ""] = self._screen.console_app.say(text)

    def tell_detached(self, pane: TerminalPane) -> None:
        """The pane was closed by detaching: say how to come back to its session."""
        console = self._screen.console_app
        if pane.has_ended or pane.failure or pane.info is None:
            console.say(f"closed {pane.name_of_it}")
        else:
            said = f"detached from {pane.name_of_it}: it goes on, A comes back to it"
            self._detached[pane.info.id] = console.say(said)

    def settle_detached(self, view: FleetView, shown: Collection[str]) -> None:
        """Take away what `tell_detached` said of sessions that have ended, and of those ``shown`` in a pane again."""
        for key in list(self._detached):
            found = view.session(key)
            if found is None or found[1].ended or key in shown:
                self._screen.console_app.notices.settle(self._detached.pop(key))

    def forget(self, pane: Pane) -> None:
        """The pane was closed."""
        self._shells.pop(pane.id or "", None)
        self._attachments.pop(pane.id or "", None)
        self.have_seen(pane)

    def type(self, key: str, data: bytes) -> bool:
        """Send what was typed in pane ``key``; False when there is no program to read it, or too much waits for it."""
        attachment = self._attachments.get(key)
        return attachment is not None and attachment.type(data)

    def resize(self, pane: TerminalPane) -> None:
        """The pane has another size. The program's window follows it if the pane holds the session's input."""
        attachment = self._attachments.get(pane.id or "")
        if attachment is not None and pane.typing:
            attachment.resize(*pane.size_in_cells)

    async def _tail(self, pane: LogPane, lines: int) -> None:
        info = pane.info
        assert info is not None
        with suppress(CoreUnavailable):  # `tail` below waits for the core
            info = await gateway.session_info(pane.uuid, info.id) or info
        floors = (info.stdout_bytes, info.stderr_bytes)
        pane.opens(*floors, lines)
        try:
            await tail(pane.uuid, info.id, lines, floors, pane, self._screen.console_app.priority)
        except SandtopError as error:
            self._failed(pane, error)

    async def _merge(self, pane: MergedPane) -> None:
        try:
            await merge(list(pane.names), MERGED_LINES, pane, self._screen.console_app.priority)
        except SandtopError as error:
            self._failed(pane, error)

    async def _step_in(self, pane: TerminalPane, shell: SandboxInfo | None) -> None:
        key = pane.id or ""
        pane.terminal.awaiting = pane.typing
        try:
            with suppress(TimeoutError):  # it begins with 24 rows and 80 columns then
                async with asyncio.timeout(_SIZE_SECONDS):
                    await pane.sized.wait()
            if shell is not None:
                pane.info = await gateway.open_shell(shell, *pane.size_in_cells)
            elif pane.info is not None:
                pane.info = await gateway.session_info(pane.uuid, pane.info.id)
            if pane.info is None:
                pane.holds(False)
                pane.fail("the session is gone")
                return
            pane.typing = pane.typing and pane.info.state in ("starting", "running")
            attachment = Attachment(pane.uuid, pane.info, with_input=pane.typing, take=pane.taking)
            self._attachments[key] = attachment
            self.resize(pane)
            pane.holds(pane.typing)
            watched = _Watched(pane, attachment, lambda text: self._was_taken(pane, text))
            pane.ended(await attachment.run(watched, self._screen.console_app.priority))
        except WrongState as error:
            if pane.typing and not pane.taking and pane.info is not None and pane.info.state == "running":
                self.tell(pane, f"somebody else types in {pane.what}: watching; T takes over")
                self.attach_again(pane, typing=False)
            else:
                pane.holds(False)
                self._failed(pane, error)
        except SandtopError as error:
            pane.holds(False)
            self._failed(pane, error)
        finally:
            self._attachments.pop(key, None)

    def _was_taken(self, pane: Pane, text: str) -> None:
        self.have_seen(pane)
        self._told[pane.id or ""] = self._screen.console_app.say_error(text)

    def _failed(self, pane: Pane, error: SandtopError) -> None:
        """Say ``error`` in the pane's title, which has little room, and in a notice that stays until it is read."""
        pane.fail(str(error))
        self._screen.console_app.say_error(f"{pane.what}: {error}")


class _Watched:
    """The sink of an attachment: passes output on to the pane, and tells when somebody took the session's input."""

    def __init__(self, pane: TerminalPane, attachment: Attachment, tell: Callable[[str], None]) -> None:
        self._pane = pane
        self._attachment = attachment
        self._tell = tell

    def output(self, data: bytes, *, replayed: bool) -> int:
        return self._pane.output(data, replayed=replayed)

    def redrawn(self, data: bytes, size: tuple[int, int]) -> Iterator[None]:
        return self._pane.redrawn(data, size)

    def lost(self, count: int) -> None:
        self._pane.lost(count)

    def trouble(self, why: str) -> None:
        self._pane.trouble(why)
        if (taker := self._attachment.taken_by) is not None and self._pane.terminal.holds_input:
            app_of(self._pane).bell()  # the operator may be typing, and looking elsewhere
            self._tell(f"{neutral(taker)} has taken the keyboard of {self._pane.what}: T takes it back")
        self._pane.holds(self._pane.typing and not self._attachment.input_lost)
