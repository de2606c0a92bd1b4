"""The app that a widget is in, as a type that checkers know."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget


def host(widget: Widget) -> App[object]:
    """Textual leaves the app's type parameter open."""
    return cast("App[object]", widget.app)  # pyright: ignore[reportUnknownMemberType]
