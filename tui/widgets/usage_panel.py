"""The lines at the top of a sandbox's own page: what it uses, and which boxes there are below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .worded import Worded, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.strip import Strip


class UsagePanel(Worded):
    """It is as high as its lines."""

    DEFAULT_CSS = """
    UsagePanel { height: 6; padding: 0 1; background: $surface; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[Words, ...] = ()
        self._tabs = ""

    def show(self, lines: Sequence[Words]) -> None:
        """Show ``lines``."""
        if tuple(lines) != self._lines:
            self._lines = tuple(lines)
            self._fit()

    def show_tabs(self, tabs: str) -> None:
        """Show which boxes there are in a line below; empty: none."""
        if tabs != self._tabs:
            self._tabs = tabs
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
        return self.line(((self._tabs, "accent"), ("   tab: the next", "muted")), width)
