"""Panes: a title that says what one looks at, and the log or terminal below it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from sandtop.tui.text import neutral, one_line

from .ask_line import AskLine
from .log_lines import compile_pattern
from .terminal import TerminalView

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator, Sequence

    from textual import events
    from textual.app import ComposeResult

    from sandtop.core.client.records import ExitRecord, SessionInfo
    from sandtop.tui.actions import Context
    from sandtop.tui.store import SessionView

Badge = tuple[str, str]
_NAME_CELLS: Final = 24
"""What a title keeps for the name while badges are long; `_SHORT_NAME_CELLS` when nothing else helps."""
_SHORT_NAME_CELLS: Final = 5


class PaneTitle(Static):
    """One line: what this is at the left, how it is at the right."""

    DEFAULT_CSS = """
    PaneTitle { height: 1; background: $panel; color: $text-muted; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._said: tuple[bool, str, tuple[Badge, ...], tuple[Badge, ...]] = (False, "", (), ())

    def show(self, focused: bool, what: str, badges: Sequence[Badge], short: Sequence[Badge]) -> None:
        """``badges``: text and style, the most important first; ``short``: the same for where there is little room."""
        said = (focused, what, tuple(badges), tuple(short))
        if said != self._said:
            self._said = said
            self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        focused, what, badges, short = self._said
        width = self.size.width
        name = Content.assemble("▶ " if focused else "  ", (what, "bold $text-accent" if focused else ""))
        right = _joined(badges)
        shown = list(short)
        while shown and right.cell_length + min(name.cell_length, _NAME_CELLS) + 3 > width:
            right = _joined(shown)
            if len(shown) == 1:
                least = min(name.cell_length, _SHORT_NAME_CELLS)
                right = right.truncate(max(1, width - least - 3), ellipsis=True)
                break
            shown.pop()
        name = name.truncate(max(1, width - right.cell_length - 2), ellipsis=True)
        self.update(
            name + " " * max(1, width - name.cell_length - right.cell_length - 1) + right, layout=False
        )


def _joined(badges: Sequence[Badge]) -> Content:
    return Content("  ").join([Content.styled(text, style) for text, style in badges])


class Pane(Widget):
    """A window on one session. What it shows is poured in from outside."""

    DEFAULT_CSS = """
    Pane { layout: vertical; border-left: outer $panel; }
    Pane:focus-within { border-left: outer $primary; }
    Pane:focus-within PaneTitle { background: $primary 30%; color: $foreground; }
    """
    CONTEXTS: ClassVar[tuple[Context, ...]] = ()

    @dataclass
    class Ready(Message):
        """It is on the screen and can take the keyboard."""

        pane: Pane

    def __init__(self, key: str, uuid: str, sandbox: str, info: SessionInfo | None) -> None:
        super().__init__(id=key)
        self.uuid = uuid
        self.sandbox = sandbox
        self.info = info
        """None while its session is being started."""
        self.session: SessionView | None = None
        self.why = ""
        """What keeps it from the core, or empty."""
        self._mounted = False
        self._sought: re.Pattern[str] | None = None
        self.failure = ""
        """Why it shows nothing more, or empty."""

    def on_mount(self) -> None:
        self._mounted = True
        self.show_title()
        self.post_message(self.Ready(self))

    @property
    def what(self) -> str:
        """What it is a window on, in a few words."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether its widgets are there."""
        return self._mounted and not self._pruning and self.is_attached

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that somebody types ahead come before its widgets are there, too."""
        return self.ready and super().check_action(action, parameters)

    def show_session(self, session: SessionView | None) -> None:
        """What is known of the session now."""
        self.session = session
        self.show_title()

    def trouble(self, why: str) -> None:
        """The core is out of reach, or (empty) no more."""
        if why != self.why:
            self.why = why
            self.show_title()

    def fail(self, why: str) -> None:
        """It cannot go on."""
        self.failure = why
        self.show_title()

    def badges(self) -> list[Badge]:
        """What its title tells at the right."""
        badges: list[Badge] = []
        if self.failure:
            badges.append((f"✖ {neutral(self.failure)}", "bold $text-error"))
        elif self.why:
            badges.append(("◌ reconnecting", "bold $text-warning"))
        if self.session is not None and self.session.ended:
            style = "bold $text-error" if self.session.failed else "$text-muted"
            badges.append((f"{'✖' if self.session.failed else '○'} {self.session.badge}", style))
        return badges

    def short_badges(self) -> list[Badge]:
        """The same in few words."""
        return self.badges()

    def show_title(self) -> None:
        """Say in the title how it is now."""
        if self.ready:
            title = self.query_one(PaneTitle)
            title.show(self.has_focus_within, self.what, self.badges(), self.short_badges())

    def on_descendant_focus(self) -> None:
        self.show_title()

    def on_descendant_blur(self) -> None:
        self.show_title()

    def take_focus(self) -> None:
        """Give the keyboard to what it shows."""
        raise NotImplementedError

    # asking for patterns

    def ask(self, key: str, placeholder: str, back: Widget, answered: Callable[[str], None]) -> None:
        """Ask for a line of text in the pane; see `AskLine.ask`."""
        self.query_one(AskLine).ask(key, placeholder, back, answered)

    def stop_asking(self) -> bool:
        """Close the line of input; False when it was not open."""
        return self.query_one(AskLine).close()

    def stop_searching(self) -> bool:
        """Forget what was searched for; False when nothing was."""
        raise NotImplementedError

    def sought(self, text: str) -> re.Pattern[str] | None:
        """The pattern in ``text``; an empty one is that of the last search, if there was one."""
        if text:
            self._sought = compile_pattern(text)
        return self._sought


class TerminalPane(Pane):
    """A session's terminal, with the keyboard or watching."""

    DEFAULT_CSS = """
    TerminalPane { layers: base ask; }
    /* over the terminal: its program's window stays as large as it is */
    TerminalPane > AskLine { dock: bottom; layer: ask; }
    """
    CONTEXTS = ("terminal",)

    def __init__(self, key: str, uuid: str, sandbox: str, info: SessionInfo | None, *, typing: bool) -> None:
        super().__init__(key, uuid, sandbox, info)
        self.typing = typing
        """It asks for the keyboard."""
        self.taking = False
        """It takes the keyboard from whoever has it."""
        self._over = False
        self.sized = asyncio.Event()
        """Its size is known."""
        self.size_in_cells: tuple[int, int] = (24, 80)

    def compose(self) -> ComposeResult:
        yield PaneTitle()
        yield TerminalView()
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
        """Its program runs no more."""
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
        """Who types, and what to press for another."""
        if view.awaiting:
            return ("starting", "$text-muted")
        if not view.may_type:
            types = f"{holder} types" if (holder := self._holder) else ""
            if short:
                return (types or "watching", "$text-muted")
            return (f"watching{f'; {types}' if types else ''}  T takes over", "$text-muted")
        if view.live:
            return ("you type" if short else "^] detach  F12 out", "$text-muted")
        return ("stepped out" if short else "stepped out  ⏎ in", "bold $text-warning")

    @property
    def _holder(self) -> str:
        """Who types in it, as far as is known, when it is not this pane."""
        return neutral(self.session.info.input_holder or "") if self.session else ""

    @property
    def unheard(self) -> str:
        """Why nobody read what was typed just now, and what to press."""
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
        """The actions of a terminal that do nothing as it is now."""
        if self.has_ended:
            return frozenset({"step_in", "watch", "take"})
        return frozenset({"take"} if self.terminal.may_type else {"step_in", "watch"})

    def holds(self, may_type: bool) -> None:
        """Whether keys reach the program."""
        if self.terminal.may_type != may_type:
            self.terminal.may_type = may_type
            self.terminal.redraw_cursor()
            self.terminal.post_message(TerminalView.Changed(self.terminal))
        self.terminal.settle()

    def renew(self) -> None:
        """An empty terminal of the same size."""
        self.terminal.start_over()
        self.show_title()

    def on_terminal_screen_changed(self) -> None:
        self.show_title()

    def ended(self, record: ExitRecord) -> None:
        """The program ended: what was typed for it, and comes late, is for nobody."""
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
