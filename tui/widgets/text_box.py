"""A box of lines below its title, to scroll through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip

from sandtop.tui.actions import bindings_of

from .app_of import app_of
from .worded import Worded, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.binding import BindingType


class TextBox(Worded, can_focus=True):
    """Lines of words.

    With ``from_end`` it shows the last lines, and goes along with those that come, until it is scrolled up.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("box")]
    DEFAULT_CSS = """
    TextBox { height: 1fr; padding: 0 1; }
    """

    @dataclass
    class Said(Message):
        """Something to tell the operator in a line."""

        text: str

    def __init__(self, name: str, *, from_end: bool = False) -> None:
        super().__init__(id=name)
        self._title = name
        self._note = ""
        self._lines: tuple[Words, ...] = ()
        self._from_end = self._at_end = from_end
        self._top = 0
        self._has_head = False

    def show(self, lines: Sequence[Words], *, head: Words = (), note: str = "") -> None:
        """Show ``lines``; ``head`` stays above them, ``note`` is in the title."""
        shown = (head, *lines) if head else tuple(lines)
        if (shown, note) != (self._lines, self._note):
            self._lines, self._note = shown, note
            self._has_head = bool(head)
            self.refresh()

    @property
    def text(self) -> str:
        """All lines as text."""
        return "\n".join("".join(text for text, _ in line).rstrip() for line in self._lines)

    @property
    def _room(self) -> int:
        return max(1, self.content_size.height - 1 - self._has_head)

    @property
    def _last_top(self) -> int:
        return max(0, len(self._lines) - self._has_head - self._room)

    @property
    def _first(self) -> int:
        """The first line that is seen."""
        return self._last_top if self._at_end else min(self._top, self._last_top)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.content_size.width
        if y == 0:
            return self._title_strip(width)
        number = 0 if self._has_head and y == 1 else self._first + y - 1
        if number >= len(self._lines):
            return Strip.blank(width, self.base)
        return self.line(self._lines[number], width)

    def _title_strip(self, width: int) -> Strip:
        tone = "strong" if self.has_focus else "muted"
        more = (
            f"{self._first + 1}–{min(len(self._lines), self._first + self._room)}" if self._last_top else ""
        )
        words: Words = (
            ("▶ " if self.has_focus else "  ", "strong"),
            (self._title, tone),
            (f"  {self._note}", "muted"),
        )
        strip = Strip(self.words(words)).crop(0, width)
        rest = width - strip.cell_length - len(more) - 2
        rule = Segment(f" {'─' * max(0, rest)} ", self.component("worded--rule"))
        return Strip([*strip, rule, Segment(more, self.component("worded--muted"))]).adjust_cell_length(
            width, self.base
        )

    # moving

    def action_by(self, lines: int) -> None:
        top = max(0, min(self._first + lines, self._last_top))
        moved = top != self._first
        self._at_end = self._from_end and top >= self._last_top
        if moved:
            self._top = top
            self.refresh()

    def action_page(self, step: int) -> None:
        self.action_by(step * max(1, self._room - 1))

    def action_copy(self) -> None:
        app_of(self).copy_to_clipboard(self.text)
        self.post_message(self.Said(f"copied {self._title}: {len(self._lines)} lines"))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.focus()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_by(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_by(-3)
