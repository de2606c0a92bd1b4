"""A pane with a session's terminal: who types in it, and what its title shows of that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import on

from sandtop.tui.text import neutral, one_line

from .ask_line import AskLine
from .pane import Pane
from .pane_title import PaneTitle
from .terminal import TerminalView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from sandtop.core.client.sdk import ExitRecord, SessionInfo
    from sandtop.tui.store import SessionView

    from .pane_title import Badge


class TerminalPane(Pane):
    """Takes a session's output, as a `sandtop.tui.stream.attachment.TerminalSink`, and shows it.

    Attributes:
        typing: it asks for the session's input; otherwise it watches. With ``stepped_out`` keys are commands from
            the start.
        taking: it takes the input from whoever holds it.
        sized: set as soon as its size is known.
        size_in_cells: that size, rows and columns.
    """

    DEFAULT_CSS = """
    TerminalPane { layers: base ask; }
    /* over the terminal: its program's window stays as large as it is */
    TerminalPane > AskLine { dock: bottom; layer: ask; }
    """
    SCOPE = "terminal"

    def __init__(
        self,
        key: str,
        uuid: str,
        sandbox: str,
        info: SessionInfo | None,
        *,
        typing: bool,
        stepped_out: bool = False,
    ) -> None:
        super().__init__(key, uuid, sandbox, info)
        self.typing = typing
        self._stepped_out = stepped_out
        self.taking = False
        self._over = False
        self.sized = asyncio.Event()
        self.size_in_cells: tuple[int, int] = (24, 80)

    def compose(self) -> ComposeResult:
        yield PaneTitle()
        terminal = TerminalView()
        terminal.live = not self._stepped_out
        yield terminal
        yield AskLine()

    @property
    def terminal(self) -> TerminalView:
        return self.query_one(TerminalView)

    @property
    def _program(self) -> str:
        if self.session is not None:
            return self.session.command
        return neutral(" ".join(self.info.argv)) if self.info else "…"

    @property
    def name_of_it(self) -> str:
        """Its sandbox and command, without the title that its program gave it."""
        return f"{neutral(self.sandbox)} › {self._program}"

    @property
    def what(self) -> str:
        title = one_line(neutral(self.terminal.emulator.title)) if self.ready else ""
        return f"{self.name_of_it}{f'  “{title}”' if title and title != self._program else ''}"

    @property
    def has_ended(self) -> bool:
        """Whether its program has ended."""
        return self._over or (self.session is not None and self.session.ended)

    def show_session(self, session: SessionView | None) -> None:
        super().show_session(session)
        if self.ready:
            self.terminal.may_take = not self.has_ended

    def badges(self) -> list[Badge]:
        return self._badges(short=False)

    def short_badges(self) -> list[Badge]:
        return self._badges(short=True)

    def _badges(self, *, short: bool) -> list[Badge]:
        badges = super().badges()
        view = self.terminal
        if not self.has_ended:
            badges.append(self._keyboard(view, short=short))
        if view.sought is not None:
            pattern, count = view.sought
            badges.append((f"/{neutral(pattern, 30)}  {count}", "$text-accent"))
        if view.copy_mode.back:
            badges.append((f"{view.copy_mode.back} back", "$text-warning"))
        if view.emulator.bells and view.emulator.bells != self._bells_seen:
            badges.append(("♪", "bold $text-warning"))
        return badges

    @property
    def _bells_seen(self) -> int:
        if self.has_focus_within:
            self._heard = self.terminal.emulator.bells
        return self._heard

    _heard = 0

    def _keyboard(self, view: TerminalView, *, short: bool) -> Badge:
        """Who types, and the key that changes it."""
        if view.awaiting:
            return ("starting", "$text-muted")
        if not view.holds_input:
            types = f"{holder} types" if (holder := self._holder) else ""
            if short:
                return (types or "watching", "$text-muted")
            return (f"watching{f'; {types}' if types else ''}  T takes over", "$text-muted")
        if view.live:
            return ("you type" if short else "^] detach  F12 out", "$text-muted")
        return ("stepped out" if short else "stepped out  ⏎ in", "bold $text-warning")

    @property
    def _holder(self) -> str:
        """Who holds the session's input, as far as is known, when this pane does not."""
        return neutral(self.session.info.input_holder or "") if self.session else ""

    @property
    def why_unread(self) -> str:
        """Why no program read what was typed just now, and what to press."""
        name = self.name_of_it
        if self.has_ended:
            why = f"{name} has ended"
        elif self.failure:
            why = f"{name} cannot be reached"
        elif self.terminal.awaiting:
            why = f"{name} has not begun, and too much waits for it"
        else:
            why = f"{self._holder or 'nobody'} types in {name}"
        then = ""
        if self.terminal.live:
            take = "" if self.has_ended else ", T types here"
            then = f". esc: keys are commands again{take}"
        return f"nobody read that: {why}{then}"

    @property
    def idle_actions(self) -> frozenset[str]:
        """The names of the actions that do nothing in the present state."""
        if self.has_ended:
            return frozenset({"step_in", "watch", "take"})
        return frozenset({"take"} if self.terminal.holds_input else {"step_in", "watch"})

    def holds(self, holds_input: bool) -> None:
        """Whether the pane holds the session's input, as is known now."""
        if self.terminal.holds_input != holds_input:
            self.terminal.holds_input = holds_input
            self.terminal.redraw_cursor()
            self.terminal.post_message(TerminalView.Changed(self.terminal))
        self.terminal.settle()

    def renew(self) -> None:
        """Empty the terminal."""
        self.terminal.start_over()
        self.show_title()

    def on_terminal_screen_changed(self) -> None:
        self.show_title()

    def ended(self, record: ExitRecord) -> None:
        """The program has ended: from now on no program reads what is typed here."""
        self._over = True
        self.terminal.may_take = False
        self.holds(False)
        self.show_title()

    def take_focus(self) -> None:
        self.terminal.focus()

    @on(TerminalView.Asked)
    def _asked(self, event: TerminalView.Asked) -> None:
        if event.what == "search":
            event.stop()
            self.ask("/", "search", self.terminal, self._search_for)

    def stop_searching(self) -> bool:
        return self.terminal.stop_searching()

    def _search_for(self, text: str) -> None:
        if pattern := self.sought(text):
            self.terminal.search(pattern)

    # what comes in: `sandtop.tui.stream.attachment.TerminalSink`

    def output(self, data: bytes, *, replayed: bool) -> int:
        return self.terminal.feed(data, replayed=replayed)

    def redrawn(self, data: bytes, size: tuple[int, int]) -> Iterator[None]:
        return self.terminal.show(data, *size)

    def lost(self, count: int) -> None:
        self.terminal.feed(f"\r\n── {count} bytes are missing here ──\r\n".encode(), replayed=True)
