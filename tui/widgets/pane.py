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

    from sandtop.core.client.sdk import SessionInfo
    from sandtop.tui.actions import ScopeName
    from sandtop.tui.store import SessionView

    from .pane_title import Badge


class Pane(Widget):
    """Shows one session. `sandtop.tui.screens.pane_streams` gives it the session's output.

    Attributes:
        uuid: the sandbox's uuid.
        sandbox: the sandbox's name.
        info: the session; None while it is being started.
        session: what the console knows of it now, or None.
        why: why the core cannot be reached; empty when it can.
        failure: why the pane shows nothing more; empty while it does.
    """

    DEFAULT_CSS = """
    Pane { layout: vertical; border-left: outer $panel; }
    Pane:focus-within { border-left: outer $primary; }
    Pane.-alone { border-left: none; }
    Pane:focus-within PaneTitle { background: $title-focus; color: $foreground; }
    """
    SCOPE: ClassVar[ScopeName]

    @dataclass
    class Ready(Message):
        """Its widgets are there: it can take the focus."""

        pane: Pane

    def __init__(self, key: str, uuid: str, sandbox: str, info: SessionInfo | None) -> None:
        super().__init__(id=key)
        self.uuid = uuid
        self.sandbox = sandbox
        self.info = info
        self.session: SessionView | None = None
        self.why = ""
        self._mounted = False
        self._sought: re.Pattern[str] | None = None
        self.failure = ""

    def on_mount(self) -> None:
        self._mounted = True
        self.show_title()
        self.post_message(self.Ready(self))

    @property
    def what(self) -> str:
        """What it shows, in a few words: sandbox and command."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether its widgets are there."""
        return self._mounted and not self._pruning and self.is_attached

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No action runs before its widgets are there: keys that were typed ahead come that early."""
        return self.ready and super().check_action(action, parameters)

    def show_session(self, session: SessionView | None) -> None:
        """What is known of the session now."""
        self.session = session
        self.show_title()

    def trouble(self, why: str) -> None:
        """The core cannot be reached, and ``why``; empty: it can be again."""
        if why != self.why:
            self.why = why
            self.show_title()

    def fail(self, why: str) -> None:
        """Say that the pane shows nothing more, and ``why``."""
        self.failure = why
        self.show_title()

    def badges(self) -> list[Badge]:
        """What its title shows at the right: text and style, the most important first."""
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
        """As `badges`, in fewer words: for a narrow pane."""
        return self.badges()

    def show_title(self) -> None:
        """Draw the title anew."""
        if self.ready:
            title = self.query_one(PaneTitle)
            title.show(self.has_focus_within, self.what, self.badges(), self.short_badges())

    def on_descendant_focus(self) -> None:
        self.show_title()

    def on_descendant_blur(self) -> None:
        self.show_title()

    def take_focus(self) -> None:
        """Give the focus to the log or terminal in it."""
        raise NotImplementedError

    # asking for patterns

    def ask(self, key: str, placeholder: str, back: Widget, answered: Callable[[str], None]) -> None:
        """Ask for a line of text in the pane; see `AskLine.ask`."""
        self.query_one(AskLine).ask(key, placeholder, back, answered)

    def stop_asking(self) -> bool:
        """Close the line of input; False when it was not open."""
        return self.query_one(AskLine).close()

    def stop_searching(self) -> bool:
        """End the search and take its marks away; False when there was none."""
        raise NotImplementedError

    def sought(self, text: str) -> re.Pattern[str] | None:
        """The pattern in ``text``. An empty ``text`` repeats the last search: None if there was none."""
        if text:
            self._sought = compile_pattern(text)
        return self._sought
