"""What the screens with a list have in common: the detail beside it, its filter, and escape, which takes back one thing
after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Container
from textual.widgets import Input

from sandtop.tui.widgets.app_of import open_field
from sandtop.tui.widgets.detail import Detail, DetailView
from sandtop.tui.widgets.row_list import RowList

from .base import ConsoleScreen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.widget import Widget

    from sandtop.tui.watching import Target

NOTHING_MATCHES = "nothing matches: esc takes the filter away"


BESIDE_COLUMNS = 150
"""From so many columns on the detail is beside the list, …"""
BELOW_ROWS = 34
"""… else from so many rows on below it, …"""
BESIDE_IF_LOW = 120
"""… else from so many columns on beside it; on a smaller screen there is none."""
_TERMINAL = 86
"""Cells with room for a terminal of 80 columns: the detail beside a list gets no more."""


class Master(Container):
    """A list, and beside or below it the detail."""

    DEFAULT_CSS = """
    Master { height: 1fr; layout: vertical; }
    Master.-beside { layout: horizontal; }
    Master.-beside > RowList { width: 1fr; }
    Master.-beside > Detail { display: block; height: 1fr; border-left: solid $border; padding: 0 0 0 1; }
    Master.-below > Detail { display: block; width: 1fr; border-top: solid $border; padding: 0 1; }
    """

    def arrange_for(self, columns: int, rows: int) -> bool:
        """Place the detail as a screen of that size has room for it; whether it has any."""
        beside = columns >= BESIDE_COLUMNS or (columns >= BESIDE_IF_LOW and rows < BELOW_ROWS)
        below = not beside and rows >= BELOW_ROWS
        self.set_class(beside, "-beside")
        self.set_class(below, "-below")
        styles = self.query_one(Detail).styles
        if beside:
            styles.width, styles.height = min(_TERMINAL, columns * 48 // 100), None
        elif below:
            styles.width, styles.height = None, rows * 45 // 100
        return beside or below


class ListScreen(ConsoleScreen):
    """One list with the detail of its row, and a filter below it."""

    DEFAULT_CSS = """
    ListScreen #filter { display: none; background: $surface; height: 1; }
    ListScreen #filter:focus { background: $field-focus; }
    """
    FILTER_HELP = "text  !text"
    """What may be typed as a filter."""
    _arranged_for = (0, 0)
    _detailed = False

    # the detail

    def on_resize(self) -> None:
        if self.ready:
            self.show_detail()

    def on_screen_suspend(self) -> None:
        self.console_app.watching.look_at(None)

    def show_detail(self) -> None:
        """Show what is known of the row under the cursor, and look at its session."""
        watching = self.console_app.watching
        if self._arranged_for != self.size:
            self._arranged_for = self.size
            self._detailed = self.query_one(Master).arrange_for(*self.size)
        if not self._detailed:
            watching.look_at(None)
            return
        watching.look_at(self.detail_target(), self.ahead())
        if (view := self.detail_view()) is not None:
            self.query_one(Detail).show(view)

    def glanced(self) -> None:
        """There is something new to show of a session that was looked at."""
        self.show_detail()

    def detail_target(self) -> Target | None:
        """The session that the detail shows."""
        raise NotImplementedError

    def detail_view(self) -> DetailView | None:
        """What the detail shows; None: the same as before."""
        raise NotImplementedError

    def ahead(self) -> Sequence[Target]:
        """The sessions that it may show next."""
        return ()

    @on(RowList.Moved)
    def _cursor_moved(self) -> None:
        self.show_detail()

    @on(Detail.Clicked)
    def _detail_clicked(self) -> None:
        self.open_detail()

    def open_detail(self) -> None:
        """Go into what the detail shows."""
        self.rows.action_open()

    # the filter

    def body(self) -> Iterable[Widget]:
        """The filter: yield it below the list."""
        yield Input(placeholder=self.FILTER_HELP, id="filter", compact=True)

    @property
    def rows(self) -> RowList:
        """The list."""
        return self.query_one(RowList)

    @property
    def filter_field(self) -> Input:
        """Where the filter is typed."""
        return self.query_one("#filter", Input)

    @on(RowList.Marked)
    def _marked(self) -> None:
        self.tick()

    @property
    def marked_note(self) -> tuple[str, ...]:
        """How many rows are marked, for the header; nothing when none are."""
        count = len(self.rows.marked) if self.ready else 0
        return (f"✓ {count} marked",) if count else ()

    def action_filter(self) -> None:
        open_field(self.filter_field)

    @on(Input.Changed, "#filter")
    def _filter_typed(self) -> None:
        self.show(self.view)
        self.tick()

    @on(Input.Submitted, "#filter")
    def _filter_entered(self) -> None:
        self.rows.focus()

    @on(Input.Blurred, "#filter")
    def _filter_left(self) -> None:
        self.filter_field.display = bool(self.filter_field.value)

    def clear_filter(self) -> bool:
        """Show all rows again; False when there was no filter."""
        field = self.filter_field
        if not (field.value or field.has_focus):
            return False
        field.value = ""
        self.set_focus(self.rows)
        field.display = False
        return True

    def action_cancel(self) -> None:
        if not (self.cancelled() or self.clear_filter() or self.rows.clear_marks()):
            self.nothing_to_cancel()

    def nothing_to_cancel(self) -> None:
        """Escape, and there was nothing left to take back."""

    def action_panes(self) -> None:
        self.console_app.nav.show_panes()
