"""What all panes have: a title, a line to ask for patterns, and the session that they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.message import Message
from textual.widget import Widget

from sandtop.tui.text import neutral

from .ask_line import AskLine
from .log_lines import compile_pattern
from .pane_title import PaneTitle

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from sandtop.core.client.link.records import SessionInfo
    from sandtop.tui.actions import Context
    from sandtop.tui.store import SessionView

    from .pane_title import Badge


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
