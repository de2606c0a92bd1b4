"""Pages to read: the help, facts, and plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from sandtop.tui.actions import SCOPES, Action, ScopeName, actions_of, shown_key
from sandtop.tui.text import neutral
from sandtop.tui.widgets.app_of import app_of

from .modal import Modal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType


class Page(Modal[None]):
    """A page of text to scroll through."""

    CSS_PATH = "pages.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,question_mark,enter,f1", "leave", "back"),
        ("j,down", "by(1)", "down"),
        ("k,up", "by(-1)", "up"),
        ("pagedown,space,ctrl+f", "by(20)", "page down"),
        ("pageup,ctrl+b", "by(-20)", "page up"),
        ("g,home", "by(-100000)", "top"),
        ("G,end", "by(100000)", "bottom"),
        ("y", "copy", "copy"),
    ]

    def __init__(self, title: str, content: Content) -> None:
        super().__init__()
        self._title = title
        self._content = content

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="page") as page:
            page.border_title = Content(neutral(self._title))
            page.border_subtitle = "↑↓ scroll   y copy   esc back"
            yield from self.body()

    def body(self) -> ComposeResult:
        """The widgets of the page."""
        yield Static(self._content)

    @property
    def text(self) -> str:
        """All text of the page."""
        return self._content.plain

    def action_leave(self) -> None:
        self.answer()

    def action_by(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_copy(self) -> None:
        app_of(self).copy_to_clipboard(self._content.plain)


def help_page(scopes: Sequence[ScopeName], own: Sequence[Action] = ()) -> Page:
    """The page behind ``?``: the keys of ``scopes``, in that order, each with the command that does the same.

    ``own``: commands of the user's own, which come first.
    """
    parts: list[Content] = []
    if own:
        parts += [Content.styled("Your own\n", "bold $text-accent"), *map(_entry, own), Content("\n")]
    for scope in scopes:
        parts.append(Content.styled(f"{SCOPES[scope].title}\n", "bold $text-accent"))
        parts += [_entry(action) for action in actions_of(scope)]
        parts.append(Content("\n"))
    if "terminal" in scopes:
        parts.append(Content("Every other key goes to the program, ctrl-c too.\n"))
    return Page("keys", Content("").join(parts))


def _entry(action: Action) -> Content:
    keys = " ".join(shown_key(key) for key in action.keys) or "–"
    words: list[tuple[str, str]] = [(f"  {keys:<14} ", "bold"), (action.help, "")]
    if action.cli:
        words.append((f"   sandtop {action.cli}", "$text-muted"))
    return Content.assemble(*words, "\n")


class FactPage(Page):
    """Names and values in two columns. A long value wraps within its column."""

    def __init__(self, title: str, facts: Sequence[tuple[str, str]]) -> None:
        self._facts = [(neutral(name), neutral(value, 4000)) for name, value in facts]
        self._width = max((len(name) for name, _ in facts), default=0) + 2
        lines = [Content(f"{name:<{self._width}}{value}") for name, value in self._facts]
        super().__init__(title, Content("\n").join(lines))

    def body(self) -> ComposeResult:
        """One row for each fact."""
        for name, value in self._facts:
            with Horizontal(classes="fact"):
                label = Static(Content(name), classes="name")
                label.styles.width = self._width
                yield label
                yield Static(Content(value), classes="value")


def text_page(title: str, text: str) -> Page:
    """A page with ``text``, each line of which is made harmless."""
    return Page(title, Content("\n".join(neutral(line, 4000) for line in text.splitlines())))
