"""What the screens with a list have in common: its filter, and escape, which takes back one thing after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.widgets import Input

from sandtop.tui.widgets.app_of import open_field
from sandtop.tui.widgets.row_list import RowList

from .base import ConsoleScreen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

NOTHING_MATCHES = "nothing matches: esc takes the filter away"


class ListScreen(ConsoleScreen):
    """One list, with a filter below it."""

    DEFAULT_CSS = """
    ListScreen #filter { display: none; background: $surface; height: 1; }
    ListScreen #filter:focus { background: $primary 25%; }
    """
    FILTER_HELP = "text  !text"
    """What may be typed as a filter."""

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
    def marks(self) -> tuple[str, ...]:
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
