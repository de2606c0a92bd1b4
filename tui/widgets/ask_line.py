"""The line at the bottom of a pane in which a pattern is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.containers import Horizontal
from textual.widgets import Input, Label

from .app_of import open_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.events import Key
    from textual.widget import Widget

_HISTORY: Final = 100
"""Patterns that are remembered of each kind."""


class AskLine(Horizontal):
    """Hidden until `ask`. In front of the field is the key that opened it; up and down recall what was typed before.

    All panes share what was typed, by that key.
    """

    DEFAULT_CSS = """
    AskLine { display: none; height: 1; background: $surface; }
    AskLine Label { width: auto; color: $text-accent; text-style: bold; }
    AskLine Input { width: 1fr; background: $surface; }
    """

    _typed: ClassVar[dict[str, list[str]]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._key = ""
        self._at = 0
        self._answered: Callable[[str], None] | None = None
        self._back: Widget | None = None

    def compose(self) -> ComposeResult:
        yield Label()
        yield Input(compact=True)

    def ask(self, key: str, placeholder: str, back: Widget, answered: Callable[[str], None]) -> None:
        """Show the field behind ``key``. On enter ``answered`` gets the text, perhaps empty, and ``back`` the focus."""
        self._answered, self._back = answered, back
        self._key, self._at = key, len(self._typed.setdefault(key, []))
        self.query_one(Label).update(key)
        field = self.query_one(Input)
        field.value = ""
        field.placeholder = placeholder
        self.display = True
        open_field(field)

    def close(self) -> bool:
        """Hide the field; False when it was hidden already."""
        if not self.display:
            return False
        self.screen.set_focus(self._back)
        self.display = False
        return True

    def on_key(self, event: Key) -> None:
        if event.key in ("up", "down"):
            event.stop()
            typed = [*self._typed[self._key], ""]
            self._at = max(0, min(len(typed) - 1, self._at + (-1 if event.key == "up" else 1)))
            field = self.query_one(Input)
            field.value = typed[self._at]
            field.cursor_position = len(field.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        typed = self._typed[self._key]
        if event.value and event.value not in typed[-1:]:
            typed.append(event.value)
            del typed[:-_HISTORY]
        self.close()
        if self._answered is not None:
            self._answered(event.value)
