"""What a command came to in many sandboxes: groups of those that ended alike and wrote the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.content import Content
from textual.widgets import Static

from sandtop.core.alike import difference
from sandtop.tui.actions import ScopeName, bindings_of
from sandtop.tui.text import neutral, one_line
from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.cells import Column
from sandtop.tui.widgets.row_list import RowList
from sandtop.tui.widgets.row_view import Cell, Row

from .dialogs import Pick
from .listing import ListScreen
from .pages import text_page

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

    from sandtop.core.alike import Group
    from sandtop.tui.store import FleetView
    from sandtop.tui.together import Together

COLUMNS: Final = (
    Column("count", "COUNT", 5, rank=0, align="right"),
    Column("ended", "ENDED", 14, most=40, rank=1),
    Column("output", "OUTPUT", 24, most=80, rank=3),
    Column("names", "SANDBOXES", 20, most=120, rank=2),
)
_PENDING: Final = "pending"
_LINES: Final = 500
"""Lines of an output that are shown."""


class ResultScreen(ListScreen):
    """The groups, the largest first; below them what the one under the cursor wrote, against the largest."""

    DEFAULT_CSS = """
    ResultScreen RowList { height: 3; }
    ResultScreen #output { height: 1fr; border-top: solid $border-blurred; padding: 0 1; }
    """
    SCOPE: ClassVar[ScopeName] = "result"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("result")]

    def __init__(self, together: Together) -> None:
        super().__init__()
        self._together = together
        self._groups: dict[str, Group] = {}

    def body(self) -> Iterable[Widget]:
        yield RowList(COLUMNS, id="groups")
        yield Static("", id="output", markup=False)
        yield from super().body()

    def place(self) -> tuple[str, ...]:
        return (one_line(neutral(self._together.run.script, 40)), self._together.headline)

    def show(self, view: FleetView) -> None:
        self.console_app.commands.read(self._together)
        words = self.filter_field.value.lower().split()
        groups = [group for group in self._together.groups if self._matches(group, words)]
        self._groups = {group.names[0]: group for group in groups}
        rows = [self._row(group) for group in groups]
        if pending := self._together.pending:
            names = " ".join(one.name for one in pending)
            cells = {
                "count": Cell(str(len(pending))),
                "ended": Cell("… pending", "accent"),
                "names": Cell(neutral(names), "muted"),
            }
            rows.append(Row(_PENDING, cells))
        self.rows.styles.height = min(len(rows) + 1, max(4, self.size.height // 2))
        self.rows.show(rows)
        self._show_output()
        self.tick()

    def _row(self, group: Group) -> Row:
        written = group.written
        good = written.ended == "exit 0"
        first = next((line for line in written.lines if line.strip()), "")
        if group is not self._largest and (lines := self._difference(group)):
            own = (
                [one for one in lines if one[:1] == "+"] or [one for one in lines if one[:1] == "-"] or lines
            )
            first = f"differs: {own[0]}"
        cells = {
            "count": Cell(str(len(group.names))),
            "ended": Cell(f"{'●' if good else '✖'} {neutral(written.ended)}", "good" if good else "bad"),
            "output": Cell(neutral(first), "plain"),
            "names": Cell(neutral(" ".join(self._called(uuid) for uuid in group.names)), "muted"),
        }
        return Row(group.names[0], cells)

    @property
    def _largest(self) -> Group | None:
        return next(iter(self._together.groups), None)

    def _difference(self, group: Group) -> list[str]:
        largest = self._largest
        if (
            largest is None
            or group.names == largest.names
            or not largest.written.lines
            or not group.written.lines
        ):
            return []
        return difference(group.written, largest.written)

    def _matches(self, group: Group, words: list[str]) -> bool:
        names = " ".join(self._called(uuid) for uuid in group.names)
        text = f"{group.written.ended} {names} {' '.join(group.written.lines[:_LINES])}".lower()
        return all((word.lstrip("!") in text) != word.startswith("!") for word in words)

    def _called(self, uuid: str) -> str:
        return self._together.members[uuid].name

    def show_detail(self) -> None:
        """Below the list is what the group wrote, however small the screen."""
        self.console_app.watching.look_at(None)
        self._show_output()

    def _show_output(self) -> None:
        group = self._groups.get(self.rows.cursor or "")
        self.query_one("#output", Static).update(
            Content("\n").join([Content.styled(*line) for line in self._output_of(group)])
        )

    def _output_of(self, group: Group | None) -> list[tuple[str, str]]:
        """Lines and their styles."""
        if group is None:
            return [("it has not ended there", "$text-muted")] if self.rows.cursor == _PENDING else []
        if lines := self._difference(group):
            styles = {"+": "$text-success", "-": "$text-error", "@": "$text-muted"}
            return [(neutral(line, 400), styles.get(line[:1], "")) for line in lines[:_LINES]]
        lines = group.written.lines
        shown = [
            (neutral(line, 400), "$text-warning" if line.startswith("! ") else "") for line in lines[:_LINES]
        ]
        if not lines:
            shown.append(("it wrote nothing", "$text-muted"))
        elif group.written.cut or len(lines) > _LINES:
            shown.append(("… there is more: ⏎ opens a log", "$text-muted"))
        return shown

    @on(RowList.Opened, "#groups")
    def _opened(self, event: RowList.Opened) -> None:
        """Choose one of the group's sandboxes, and look at what it wrote."""
        uuids = self._under(event.key)
        if len(uuids) == 1:
            self._open(uuids[0])
        elif uuids:
            options = [(uuid, self._called(uuid)) for uuid in uuids]
            app_of(self).push_screen(Pick("Open the output of", options), self._open)

    def _under(self, key: str | None) -> list[str]:
        if key == _PENDING:
            return [member.uuid for member in self._together.pending]
        group = self._groups.get(key or "")
        return list(group.names) if group is not None else []

    def _open(self, uuid: str | None) -> None:
        member = self._together.members.get(uuid or "")
        sandbox = self.view.find(uuid or "")
        if member is None or sandbox is None:
            return
        session = next((one for one in sandbox.sessions if one.id == member.session), None)
        if session is None:
            self.console_app.say(f"it did not run in {member.name}")
        else:
            self.console_app.nav.open_session(sandbox, session)

    def action_rerun(self) -> None:
        self.console_app.commands.rerun(self._together)
        self.show(self.view)

    def action_stop_rest(self) -> None:
        self.console_app.commands.stop(self._together)

    def action_mark_sandboxes(self) -> None:
        """Mark the group's sandboxes in the list, for whatever is to be done to them next."""
        uuids = self._under(self.rows.cursor)
        self.console_app.nav.mark_in_list(uuids)

    def action_describe(self) -> None:
        group = self._groups.get(self.rows.cursor or "")
        if group is not None:
            app_of(self).push_screen(text_page(group.written.ended, "\n".join(group.written.lines)))

    def nothing_to_cancel(self) -> None:
        self.action_back()

    def action_back(self) -> None:
        app_of(self).pop_screen()
