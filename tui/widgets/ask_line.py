"""The line at the bottom of a pane in which a pattern is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal
from textual.widgets import Input, Label

from .app_of import open_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.widget import Widget


class AskLine(Horizontal):
    """Hidden until `ask`. In front of the field is the key that opened it."""

    DEFAULT_CSS = """
    AskLine { display: none; height: 1; background: $surface; }
    AskLine Label { width: auto; color: $text-accent; text-style: bold; }
    AskLine Input { width: 1fr; background: $surface; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._answered: Callable[[str], None] | None = None
        self._back: Widget | None = None

    def compose(self) -> ComposeResult:
        yield Label()
        yield Input(compact=True)

    def ask(self, key: str, placeholder: str, back: Widget, answered: Callable[[str], None]) -> None:
        """Show the field behind ``key``. On enter ``answered`` gets the text, perhaps empty, and ``back`` the focus."""
        self._answered, self._back = answered, back
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

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.close()
        if self._answered is not None:
            self._answered(event.value)
