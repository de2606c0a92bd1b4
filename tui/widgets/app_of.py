"""The app that a widget is in, as a type that checkers know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget
    from textual.widgets import Input

    from sandtop.tui.input_priority import InputPriority


def app_of(widget: Widget) -> App[object]:
    """Textual leaves the app's type parameter open."""
    return cast("App[object]", widget.app)  # pyright: ignore[reportUnknownMemberType]


class _Paced(Protocol):
    priority: InputPriority


def priority_of(widget: Widget) -> InputPriority:
    """Whose turn it is."""
    return cast("_Paced", app_of(widget)).priority


def open_field(field: Input) -> None:
    """Show a line of input and give it the keyboard at once: the very next key is its own.

    By a class the style sheet would come later, and what cannot be seen yet takes no focus.
    """
    field.display = True
    field.screen.set_focus(field)
