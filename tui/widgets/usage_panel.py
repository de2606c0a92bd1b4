"""The lines at the top of a sandbox's own page: what it uses, and which boxes there are below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.message import Message

from .worded import Worded, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.strip import Strip

_GAP: Final = "  "


class UsagePanel(Worded):
    """The lines at the top of a sandbox's page; the panel is as high as they are."""

    DEFAULT_CSS = """
    UsagePanel { height: 6; padding: 0 1; background: $surface; }
    """

    @dataclass
    class TabClicked(Message):
        """A click on the name of a box."""

        name: str

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[Words, ...] = ()
        self._tabs: tuple[str, ...] = ()
        self._current = ""

    def show(self, lines: Sequence[Words]) -> None:
        """Show ``lines``."""
        if tuple(lines) != self._lines:
            self._lines = tuple(lines)
            self._fit()

    def show_tabs(self, tabs: Sequence[str], current: str = "") -> None:
        """Show which boxes there are in a line below, and which of them is seen; none: no such line."""
        if (tuple(tabs), current) != (self._tabs, self._current):
            self._tabs, self._current = tuple(tabs), current
            self._fit()

    @property
    def text(self) -> str:
        """All lines as text."""
        return "\n".join("".join(text for text, _ in line) for line in self._lines)

    def _fit(self) -> None:
        self.styles.height = len(self._lines) + bool(self._tabs)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.content_size.width
        if y < len(self._lines):
            return self.line(self._lines[y], width)
        return self.line(((_GAP.join(self._named), "accent"), ("   tab: the next", "muted")), width)

    @property
    def _named(self) -> list[str]:
        return [f"[{name}]" if name == self._current else name for name in self._tabs]

    def on_click(self, event: events.Click) -> None:
        spot = event.get_content_offset(self)
        if spot is None or spot.y != len(self._lines):
            return
        end = 0
        for name, shown in zip(self._tabs, self._named, strict=True):
            begin, end = end, end + len(shown)
            if begin <= spot.x < end:
                self.post_message(self.TabClicked(name))
            end += len(_GAP)
