"""The title of a pane: what it shows at the left, how that is at the right, made to fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.content import Content
from textual.widgets import Static

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events

Badge = tuple[str, str]
_NAME_CELLS: Final = 24
"""The cells of the name that are kept by shortening the badges."""
_SHORT_NAME_CELLS: Final = 5
"""The cells of the name that are kept even when one short badge alone has no room beside it."""


class PaneTitle(Static):
    """One line: the name of what is shown at the left, badges at the right."""

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
