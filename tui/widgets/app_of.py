"""What widgets need of the app that they are in, with types: Textual leaves them open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget
    from textual.widgets import Input

    from sandtop.tui.input_priority import InputPriority


def app_of(widget: Widget) -> App[object]:
    """The app that ``widget`` is in."""
    return cast("App[object]", widget.app)  # pyright: ignore[reportUnknownMemberType]


class _HasPriority(Protocol):
    priority: InputPriority


def priority_of(widget: Widget) -> InputPriority:
    """Whether output has to wait for a key."""
    return cast("_HasPriority", app_of(widget)).priority


def open_field(field: Input) -> None:
    """Show a line of input and give it the focus at once, so that the very next key is its own.

    It is shown by its style and not by a CSS class: a class takes effect later, and until then it could take no focus.
    """
    field.display = True
    field.screen.set_focus(field)
