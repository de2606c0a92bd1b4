"""The running terminals of all sandboxes, the one used last first, to come back to one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on

from sandtop.tui.actions import ScopeName, bindings_of
from sandtop.tui.text import age, neutral
from sandtop.tui.watching import Target
from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.cells import Column
from sandtop.tui.widgets.detail import Detail, DetailView
from sandtop.tui.widgets.row_list import RowList
from sandtop.tui.widgets.row_view import Cell, Row

from .detail_views import session_detail
from .listing import NOTHING_MATCHES, ListScreen, Master

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from textual.binding import BindingType
    from textual.widget import Widget

    from sandtop.tui.store import FleetView, SandboxView, SessionView
    from sandtop.tui.stream.glance import Glance

    Terminal = tuple[SandboxView, SessionView]

_TITLES: Final = 50
"""Terminals whose titles are asked for before anybody looks at them."""
COLUMNS: Final = (
    Column("sandbox", "SANDBOX", 12, most=28, rank=0),
    Column("command", "COMMAND", 14, share=2, rank=1),
    Column("title", "TITLE", 14, share=2, rank=3),
    Column("idle", "IDLE", 5, rank=2, align="right"),
    Column("holder", "KEYBOARD", 12, most=24, rank=4),
    Column("id", "SESSION", 8, rank=5),
)


def terminals_of(view: FleetView) -> Iterator[Terminal]:
    """The running terminals, each with its sandbox."""
    for sandbox in view.sandboxes:
        for session in sandbox.sessions:
            if session.info.tty and not session.ended:
                yield sandbox, session


def row(sandbox: SandboxView, session: SessionView, glance: Glance | None, now: float) -> Row:
    """The row of ``session`` at the time ``now``; the title of its window is known once it was looked at."""
    info = session.info

    def rest() -> dict[str, Cell]:
        return {
            "command": Cell(session.doing, "warn" if info.attention else "plain"),
            "title": Cell(neutral(glance.title) if glance is not None else "", "accent"),
            "idle": Cell(age(now - _used_at(session)), "muted"),
            "id": Cell(neutral(info.id[:8]), "muted"),
        }

    growing = {
        "sandbox": Cell(neutral(sandbox.name)),
        "holder": Cell(neutral(info.input_holder or ""), "warn"),
    }
    return Row(info.id, growing, rest)


def _used_at(session: SessionView) -> float:
    return session.last_output or session.info.started_at or 0.0


class TerminalsScreen(ListScreen):
    """Enter goes into the terminal that the detail shows, and takes its keyboard if nobody has it."""

    CSS_PATH = "terminals.tcss"
    SCOPE: ClassVar[ScopeName] = "terminals"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("terminals")]

    def __init__(self) -> None:
        super().__init__()
        self._order: dict[str, int] = {}

    def body(self) -> Iterable[Widget]:
        yield Master(RowList(COLUMNS, id="terminals"), Detail())
        yield from super().body()

    def place(self) -> tuple[str, ...]:
        return ("terminals",)

    def show(self, view: FleetView) -> None:
        words = self.filter_field.value.lower().split()
        found = [pair for pair in terminals_of(view) if _matches(pair, words)]
        # they stand in the order in which they were when the list opened: what writes would jump to the top
        newest = sorted(found, key=lambda pair: -_used_at(pair[1]))
        for _, session in newest:
            self._order.setdefault(session.id, len(self._order))
        found.sort(key=lambda pair: self._order[pair[1].id])
        now, last = self.console_app.clock(), self.console_app.watching.last
        self.rows.show(
            [row(sandbox, session, last(session.id), now) for sandbox, session in found],
            nothing=NOTHING_MATCHES if words else "no terminal is running",
        )
        self.show_detail()

    @property
    def cursor(self) -> Terminal | None:
        """The terminal that the cursor is on, and its sandbox."""
        key = self.rows.cursor
        return self.view.session(key) if key is not None else None

    def detail_target(self) -> Target | None:
        return Target(self.cursor[0].uuid, self.cursor[1].info) if self.cursor is not None else None

    def ahead(self) -> list[Target]:
        """The terminals near the cursor, then all: the list shows their titles, so they are looked at ahead."""
        near = [found for key in self.rows.near if (found := self.view.session(key)) is not None]
        wanted = [*near, *list(terminals_of(self.view))[:_TITLES]]
        return [Target(sandbox.uuid, session.info) for sandbox, session in wanted]

    def detail_view(self) -> DetailView | None:
        if self.cursor is None:
            return None
        watching, (sandbox, session) = self.console_app.watching, self.cursor
        view = session_detail(session, watching.last(session.id), watching.trouble, self.console_app.clock())
        return view.of(neutral(sandbox.name))

    def glanced(self) -> None:
        self.show(self.view)  # the list has the titles

    def _leave_for(self, *, typing: bool) -> None:
        if self.cursor is not None:
            sandbox, session = self.cursor
            console = self.console_app
            self.action_back()
            (console.nav.attach if typing else console.nav.open_session)(sandbox, session)

    @on(RowList.Opened, "#terminals")
    def _opened(self) -> None:
        self._leave_for(typing=True)

    def action_watch(self) -> None:
        self._leave_for(typing=False)

    def nothing_to_cancel(self) -> None:
        self.action_back()

    def action_back(self) -> None:
        app_of(self).pop_screen()


def _matches(pair: Terminal, words: list[str]) -> bool:
    sandbox, session = pair
    text = f"{sandbox.name} {session.command} {session.doing} {session.id}".lower()
    return all((word.lstrip("!") in text) != word.startswith("!") for word in words)
