"""The base of widgets that draw themselves line by line: it works their styles out once, not for each line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widget import Widget

if TYPE_CHECKING:
    from rich.style import Style


class Painted(Widget):
    """Keeps the styles of a widget. Textual works a style out from all ancestors each time that it is asked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._base: Style | None = None
        self._components: dict[str, Style] = {}
        self._laid_over: dict[Style, Style] = {}

    @property
    def base(self) -> Style:
        """The widget's own style: `rich_style`, kept."""
        if self._base is None:
            self._base = self.rich_style
        return self._base

    def over_base(self, style: Style | None) -> Style:
        """``style`` laid over the widget's own; None is the widget's own."""
        if style is None:
            return self.base
        found = self._laid_over.get(style)
        if found is None:
            if len(self._laid_over) > 4096:  # a program may use any number of colours
                self._laid_over.clear()
            found = self._laid_over[style] = self.base + style
        return found

    def component(self, name: str, *, partial: bool = False) -> Style:
        """The style of one of the widget's ``COMPONENT_CLASSES``."""
        found = self._components.get(name)
        if found is None:
            found = self._components[name] = self.get_component_rich_style(name, partial=partial)
        return found

    def forget_drawn(self) -> None:
        """The styles have changed: a subclass throws away the lines that it keeps."""

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._base = None
        self._components.clear()
        self._laid_over.clear()
        self.forget_drawn()
