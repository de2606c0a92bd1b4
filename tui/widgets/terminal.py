"""A terminal: the emulator's screen drawn from cached strips, and the keyboard, mouse and pastes that go to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from sandtop.core.terminal import Emulator
from sandtop.tui.actions import actions_of, bindings_of

from .host import host
from .keys import MOVE, PRESS, RELEASE, encode_key, encode_mouse, encode_paste
from .terminal_style import restyle, rich_style

if TYPE_CHECKING:
    import re

    from textual import events
    from textual.binding import BindingType
    from textual.timer import Timer

FRAME: Final = 1 / 30
_HOLD: Final = 0.15
"""How long a program may keep the screen from being drawn while it makes a frame (mode 2026)."""
SCROLLBACK: Final = 5000
_KEPT_BACK: Final = {key: action.id for action in actions_of("live") for key in action.keys}
"""The keys that the program does not get, and what they do."""


class TerminalView(Widget, can_focus=True):
    """Live, every key goes to the program. Stepped out (F12), keys move through the scrollback."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("terminal")]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"terminal--selection", "terminal--found"}
    DEFAULT_CSS = """
    TerminalView { height: 1fr; }
    TerminalView > .terminal--selection { background: $primary 60%; }
    TerminalView > .terminal--found { background: $warning 50%; }
    """

    @dataclass
    class Typed(Message):
        """Bytes for the program."""

        view: TerminalView
        data: bytes

    @dataclass
    class Resized(Message):
        """The program's window has another size."""

        view: TerminalView
        rows: int
        columns: int

    @dataclass
    class Asked(Message):
        """One wants to ``detach``, ``watch``, ``take`` or ``search``."""

        view: TerminalView
        what: str

    @dataclass
    class Changed(Message):
        """Title, bell, or who has the keyboard."""

        view: TerminalView

    def __init__(self) -> None:
        super().__init__()
        self.emulator = Emulator(80, 24, SCROLLBACK)
        self.live = True
        """Keys go to the program."""
        self.may_type = False
        self.looking_for: re.Pattern[str] | None = None
        self._back = 0
        """How many rows of scrollback the view is moved back."""
        self._cursor_row: int | None = None
        self._strips: dict[int, Strip] = {}
        self._selection: tuple[tuple[int, int], tuple[int, int]] | None = None
        self._dragging = False
        self._timer: Timer | None = None
        self._scrolled = 0
        self._told: tuple[str, int] = ("", 0)
        self._pressed = 0

    # what comes in

    def feed(self, data: bytes, *, replayed: bool) -> None:
        """Take output; the answers to what it asks go to the program, unless they went there before."""
        emulator = self.emulator
        emulator.feed(data)
        replies = emulator.take_replies()
        if replies and not replayed and self.may_type:
            self.post_message(self.Typed(self, replies))
        if self._timer is None:
            self._timer = self.set_timer(FRAME, self._draw)

    def show(self, data: bytes, rows: int, columns: int) -> None:
        """Show the screen that ``data`` makes on a terminal of so many rows and columns, in this one's size."""
        own = self.emulator.columns, self.emulator.rows
        self.emulator = Emulator(columns, rows, SCROLLBACK)
        self.emulator.feed(data)
        self.emulator.take_replies()
        self.emulator.resize(*own)
        self._back = 0
        self._selection = None
        self.redraw()

    def _draw(self) -> None:
        self._timer = None
        emulator = self.emulator
        if host(self).screen is not self.screen or not self.display:
            return  # what is hidden is drawn when it shows again
        if emulator.modes.synchronized and self._pressed < 5:
            self._pressed += 1
            self._timer = self.set_timer(_HOLD / 5, self._draw)
            return
        self._pressed = 0
        grown = emulator.scrolled - self._scrolled
        self._scrolled = emulator.scrolled
        if self._back:  # what is looked at stays where it is
            self._back = min(self._back + max(0, grown), emulator.scrollback_rows)
            self._strips.clear()
            self.refresh()
        else:
            self._refresh_dirty()
        emulator.dirty.clear()
        told = (emulator.title, emulator.bells)
        if told != self._told:
            self._told = told
            self.post_message(self.Changed(self))

    def _refresh_dirty(self) -> None:
        cursor = self.emulator.cursor
        rows = set(self.emulator.dirty)
        rows |= {cursor.row} if self._cursor_row is None else {cursor.row, self._cursor_row}
        self._cursor_row = cursor.row
        for row in rows:
            self._strips.pop(row, None)
        width = self.size.width
        if len(rows) > self.size.height // 2:
            self.refresh()
        else:
            self.refresh(*[Region(0, row, width, 1) for row in rows if row < self.size.height])

    def start_over(self) -> None:
        """Forget all that was shown."""
        self.emulator = Emulator(self.emulator.columns, self.emulator.rows, SCROLLBACK)
        self.live = True
        self._back = 0
        self._selection = None
        self.redraw()

    def redraw(self) -> None:
        """Draw all of it anew."""
        self._strips.clear()
        self._scrolled = self.emulator.scrolled
        self.emulator.dirty.clear()
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        if event.size.width > 0 and event.size.height > 0:
            self.emulator.resize(event.size.width, event.size.height)
            self._back = min(self._back, self.emulator.scrollback_rows)
            self.redraw()
            self.post_message(self.Resized(self, event.size.height, event.size.width))

    # drawing

    def _at(self, y: int) -> int:
        """The emulator's row that shows in line ``y``; negative ones are scrollback."""
        return y - self._back

    def render_line(self, y: int) -> Strip:
        row = self._at(y)
        emulator = self.emulator
        if row >= emulator.rows or -row > emulator.scrollback_rows:
            return Strip.blank(self.size.width, self.rich_style)
        strip = self._strips.get(row)
        if strip is None:
            strip = self._strips[row] = self._row_strip(row)
        return strip

    def _row_strip(self, row: int) -> Strip:
        base = self.rich_style
        segments = [Segment(text, base + rich_style(style)) for text, style in self.emulator.runs(row)]
        strip = Strip(segments).adjust_cell_length(self.size.width, base)
        if self.looking_for is not None and not self.live:
            found = self.get_component_rich_style("terminal--found", partial=True)
            for match in self.looking_for.finditer(strip.text):
                start = cell_len(strip.text[: match.start()])
                strip = restyle(strip, start, start + cell_len(match[0]), found)
        if (span := self._selected_in(row)) is not None:
            selection = self.get_component_rich_style("terminal--selection", partial=True)
            strip = restyle(strip, *span, selection)
        cursor = self.emulator.cursor
        if row == cursor.row and cursor.visible and not self._back:
            strip = restyle(strip, cursor.column, cursor.column + 1, self._cursor_style(cursor.shape))
        return strip

    def _cursor_style(self, shape: str) -> Style:
        if not (self.has_focus and self.live):
            return Style(underline=True)
        return Style(reverse=True) if shape == "block" else Style(underline2=True, bold=True)

    def on_focus(self) -> None:
        self._focus_changed(b"\x1b[I")

    def on_blur(self) -> None:
        self._focus_changed(b"\x1b[O")

    def _focus_changed(self, report: bytes) -> None:
        self._strips.clear()
        self.refresh()
        if self.emulator.modes.focus_events and self.live and self.may_type:
            self.post_message(self.Typed(self, report))

    # the keyboard and the mouse, when the program has them

    def on_key(self, event: events.Key) -> None:
        if not self.live:
            return  # bindings
        event.stop()
        event.prevent_default()
        if (kept := _KEPT_BACK.get(event.key)) is not None:
            getattr(self, f"action_{kept}")()
        elif event.key in ("shift+pageup", "shift+up") and not self.emulator.modes.alternate_screen:
            self.action_step_out()
            self.scroll_rows(self.size.height - 1 if event.key == "shift+pageup" else 1)
        else:
            self._type(encode_key(event.key, event.character, self.emulator.modes))

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        if self.live:
            self._type(encode_paste(event.text, self.emulator.modes))

    def _type(self, data: bytes) -> None:
        if not data:
            return
        if not self.may_type:
            host(self).bell()
            return
        self.post_message(self.Typed(self, data))

    def _mouse(self, kind: str, event: events.MouseEvent, button: int) -> bool:
        """Pass a mouse event on, when the program asked for it; shift keeps it here, as in xterm."""
        if not (self.live and self.may_type and self.emulator.modes.mouse) or event.shift:
            return False
        modifiers = (8 if event.meta else 0) + (16 if event.ctrl else 0)
        data = encode_mouse(kind, button, event.x, event.y, modifiers, self.emulator.modes)
        if data:
            self.post_message(self.Typed(self, data))
        return True

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if self._mouse(PRESS, event, event.button):
            event.stop()
            return
        if event.button == 1:
            place = (self._at(event.y), event.x)
            self._selection = (place, place)
            self._dragging = True
            self.capture_mouse()
            self._redraw_selection()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragging and self._selection is not None:
            self._selection = (self._selection[0], (self._at(max(0, event.y)), max(0, event.x)))
            self._redraw_selection()
        else:
            self._mouse(MOVE, event, event.button)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._dragging:
            self._dragging = False
            self.release_mouse()
            if self._selection is not None and self._selection[0] == self._selection[1]:
                self._selection = None
            elif text := self.selected_text:
                host(self).copy_to_clipboard(text)
            self._redraw_selection()
        else:
            self._mouse(RELEASE, event, event.button)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._wheel(event, 64, "up", 3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._wheel(event, 65, "down", -3)

    def _wheel(self, event: events.MouseEvent, button: int, key: str, rows: int) -> None:
        if self._mouse(PRESS, event, button):
            return
        if self.emulator.modes.alternate_screen and self.live:
            self._type(encode_key(key, None, self.emulator.modes) * 3)  # as xterm does in `less`
        else:
            self.scroll_rows(rows)

    # stepped out

    def action_step_out(self) -> None:
        """Take the keyboard from the program."""
        self.live = False
        self.redraw()
        self.post_message(self.Changed(self))

    def action_step_in(self) -> None:
        self.live = True
        self._back = 0
        self._selection = None
        self.looking_for = None
        self.redraw()
        self.post_message(self.Changed(self))

    def scroll_rows(self, count: int) -> None:
        """Back into the scrollback, or forwards when negative."""
        back = max(0, min(self._back + count, self.emulator.scrollback_rows))
        if back != self._back:
            self._back = back
            self._extend_selection()
            self.redraw()
            self.post_message(self.Changed(self))

    @property
    def back(self) -> int:
        """How many rows back the view is."""
        return self._back

    def action_line_up(self) -> None:
        self.scroll_rows(1)

    def action_line_down(self) -> None:
        self.scroll_rows(-1)

    def action_page_up(self) -> None:
        self.scroll_rows(self.size.height - 1)

    def action_page_down(self) -> None:
        self.scroll_rows(1 - self.size.height)

    def action_top(self) -> None:
        self.scroll_rows(self.emulator.scrollback_rows)

    def action_bottom(self) -> None:
        self.scroll_rows(-self._back)

    def action_detach(self) -> None:
        self.post_message(self.Asked(self, "detach"))

    def action_watch(self) -> None:
        self.post_message(self.Asked(self, "watch"))

    def action_take(self) -> None:
        self.post_message(self.Asked(self, "take"))

    def action_search(self) -> None:
        self.post_message(self.Asked(self, "search"))

    def search(self, pattern: re.Pattern[str]) -> bool:
        """Look for ``pattern`` upwards from where the view is."""
        self.looking_for = pattern
        self.redraw()
        return self.action_search_next(-1)

    def action_search_next(self, step: int) -> bool:
        """Move to the next row that matches; False when there is none."""
        if self.looking_for is None:
            return False
        emulator = self.emulator
        row = self._at(0)
        for number in range(row + step, -emulator.scrollback_rows - 1 if step < 0 else emulator.rows, step):
            text = "".join(text for text, _ in emulator.runs(number))
            if self.looking_for.search(text):
                self.scroll_rows(-number - self._back)
                return True
        return False

    # the selection

    def action_select(self) -> None:
        """Begin to select whole lines at the top of the view; moving takes in more."""
        row = self._at(0)
        self._selection = None if self._selection else ((row, 0), (row, self.size.width))
        self.redraw()

    def _extend_selection(self) -> None:
        if self._selection is not None and not self._dragging:
            self._selection = (self._selection[0], (self._at(0), self.size.width))

    def _redraw_selection(self) -> None:
        self._strips.clear()
        self.refresh()

    def _ordered(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        return None if self._selection is None else (min(self._selection), max(self._selection))

    def _selected_in(self, row: int) -> tuple[int, int] | None:
        """The columns of ``row`` that are selected."""
        span = self._ordered()
        if span is None or not span[0][0] <= row <= span[1][0]:
            return None
        return (span[0][1] if row == span[0][0] else 0, span[1][1] if row == span[1][0] else self.size.width)

    @property
    def selected_text(self) -> str:
        """What is selected, else what shows."""
        span = self._ordered()
        first, last = (span[0][0], span[1][0]) if span else (self._at(0), self._at(self.size.height - 1))
        first = max(first, -self.emulator.scrollback_rows)
        lines: list[str] = []
        for row in range(first, min(last, self.emulator.rows - 1) + 1):
            strip = Strip([Segment(text) for text, _ in self.emulator.runs(row)])
            part = self._selected_in(row)
            lines.append((strip.crop(*part) if part else strip).text.rstrip())
        return "\n".join(lines)

    def action_copy(self) -> None:
        host(self).copy_to_clipboard(self.selected_text)
        self._selection = None
        self._redraw_selection()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()
