"""The list of all sandboxes. Those that need somebody come first."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.content import Content
from textual.widgets import Static

from sandtop.core.errors import SandtopError
from sandtop.tui import gateway
from sandtop.tui.actions import ScopeName, bindings_of
from sandtop.tui.screens.changes import PAUSE, REMOVE, RESTART, RESUME, START, STOP, Change
from sandtop.tui.store import SandboxView, parse_filter
from sandtop.tui.text import plural
from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.detail import Detail, DetailView
from sandtop.tui.widgets.meters import Meters
from sandtop.tui.widgets.row_list import RowList

from . import fleet_rows
from .create import CreateForm, Fields
from .detail_views import sandbox_detail, shown_session, target_of
from .dialogs import Confirm, Pick
from .facts import sandbox_values
from .listing import NOTHING_MATCHES, ListScreen, Master
from .reading import show_raw

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.binding import BindingType
    from textual.widget import Widget

    from sandtop.tui.custom import Chosen
    from sandtop.tui.store import FleetView
    from sandtop.tui.watching import Target
    from sandtop.tui.widgets.cells import Column

_TWICE_SECONDS = 6.0
"""How soon a second ``q`` must follow the first, to leave while panes are open."""
_WELCOME = Content.assemble(
    ("No sandboxes yet.\n\n", "bold"),
    "A sandbox is a small virtual machine of its own.\n",
    "Press ",
    ("c", "bold $text-accent"),
    " and ",
    ("⏎", "bold $text-accent"),
    " to make the first one; then ",
    ("a", "bold $text-accent"),
    " opens a shell in it.\n\n",
    ("?", "bold $text-accent"),
    " shows all keys.",
)


class FleetScreen(ListScreen):
    """The list, its order, and what is done to the sandboxes in it."""

    CSS_PATH = "fleet.tcss"
    FILTER_HELP = "text  !text  state:failed  label:team=a  image:base"
    SCOPE: ClassVar[ScopeName] = "fleet"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("fleet")]

    def __init__(self) -> None:
        super().__init__()
        self.order: tuple[str, bool] = ("need", False)
        """By which column the list is sorted, and whether the other way round."""
        self._columns: tuple[Column, ...] = fleet_rows.COLUMNS
        self._first = ("", frozenset[str]())
        self._asked_to_quit = -_TWICE_SECONDS
        self.wanted: str | None = None
        """The uuid of a sandbox that the cursor goes to as soon as it is in the list."""

    def body(self) -> Iterable[Widget]:
        yield Meters()
        yield Master(RowList(self._columns, id="fleet"), Detail())
        yield Static(_WELCOME, id="welcome")
        yield from super().body()

    # showing

    def show(self, view: FleetView) -> None:
        """Show those sandboxes of ``view`` that pass the filter."""
        rows = self.rows
        now = self.console_app.clock()
        wanted = parse_filter(self.filter_field.value)
        found = [sandbox for sandbox in view.sandboxes if wanted.matches(sandbox)]
        by, descending = self.order
        found = fleet_rows.ordered(found, by, descending=descending)
        rows.show(
            [fleet_rows.row(s, now) for s in found],
            sort=by,
            descending=descending,
            nothing=NOTHING_MATCHES if view.sandboxes else "",
        )
        self.query_one(Meters).show(view)
        self.set_class(view.version > 0 and not view.sandboxes, "-empty")
        if self.wanted is not None and view.find(self.wanted) is not None:
            wanted_uuid, self.wanted = self.wanted, None
            rows.select(wanted_uuid)
        self.show_detail()

    def detail_target(self) -> Target | None:
        return target_of(self.cursor)

    def detail_view(self) -> DetailView | None:
        if (sandbox := self.cursor) is None:
            return None
        watching, session = self.console_app.watching, shown_session(sandbox)
        glance = watching.last(session.id) if session is not None else None
        return sandbox_detail(sandbox, glance, watching.trouble, self.console_app.clock())

    def open_detail(self) -> None:
        session = shown_session(self.cursor) if self.cursor is not None else None
        if self.cursor is not None and session is not None:
            self.console_app.nav.open_session(self.cursor, session)
        else:
            super().open_detail()

    def ahead(self) -> list[Target]:
        near = [self.view.find(key) for key in self.rows.near]
        return [target for sandbox in near if (target := target_of(sandbox)) is not None]

    def place(self) -> tuple[str, ...]:
        text = self.filter_field.value
        return (*([f"/{text}"] if text else []), *self.marked_note)

    @on(RowList.Opened, "#fleet")
    def _opened(self, event: RowList.Opened) -> None:
        self.console_app.nav.show_sandbox(event.key)

    @on(RowList.TitleClicked, "#fleet")
    def _title_clicked(self, event: RowList.TitleClicked) -> None:
        self.action_sort(fleet_rows.sortable(event.column))

    # the operator's own way of showing it

    def begin_with(self, filter_text: str, marks: frozenset[str]) -> None:
        """Filter by ``filter_text``, and mark the sandboxes ``marks``, as soon as there is a list."""
        self._first = (filter_text, marks)

    def on_mount(self) -> None:
        self.filter_field.value = self._first[0]
        self.filter_field.display = bool(self._first[0])
        super().on_mount()

    def mark_first(self) -> None:
        """The core has answered for the first time: mark what `begin_with` named."""
        if self._first[1]:
            self.rows.marked = set(self._first[1])
            self.show(self.view)

    def use_columns(self, names: Sequence[str]) -> None:
        """Show these columns, in this order."""
        by_name = {column.key: column for column in fleet_rows.COLUMNS}
        self._columns = tuple(by_name[name] for name in names)
        if self.ready:
            self.rows.use_columns(self._columns)

    @property
    def marked(self) -> frozenset[str]:
        """The uuids of the marked sandboxes."""
        return frozenset(self.rows.marked) if self.ready else self._first[1]

    @property
    def filter_text(self) -> str:
        """What the list is filtered by."""
        return self.filter_field.value if self.ready else self._first[0]

    # the order

    def action_sort(self, by: str) -> None:
        self.order = (by, not self.order[1] if by == self.order[0] else False)
        self.show(self.view)

    def action_sort_by(self) -> None:
        def chosen(name: str | None) -> None:
            if name is not None:
                self.action_sort(name)

        app_of(self).push_screen(Pick("Sort by", fleet_rows.ORDER_NAMES, fleet_rows.ORDER_LETTERS), chosen)

    def action_reverse(self) -> None:
        self.action_sort(self.order[0])

    # the sandboxes

    def select(self, uuid: str) -> None:
        """Put the cursor on a sandbox. A filter that hides it is cleared."""
        if not self.rows.select(uuid):
            self.filter_field.value = ""
            self.filter_field.display = False
            self.show(self.view)
            self.rows.select(uuid)
        self.rows.focus()

    @property
    def cursor(self) -> SandboxView | None:
        """The sandbox that the cursor is on."""
        key = self.rows.cursor
        return self.view.find(key) if key is not None else None

    def targets(self) -> list[SandboxView]:
        """The sandboxes that an action applies to: the marked ones, else the one under the cursor."""
        found = [self.view.find(key) for key in self.rows.chosen]
        return [sandbox for sandbox in found if sandbox is not None]

    def _change(self, change: Change, sandboxes: list[SandboxView]) -> None:
        """Ask for ``change`` of each, after a question where something is lost by it."""
        sandboxes, left_alone = change.fitting(sandboxes)
        if left_alone:
            self.console_app.say(left_alone)
        asks = change.loses is not None and change.verb in self.console_app.personal.config.confirm
        if change.loses is None or not asks or not sandboxes:
            self._begin(change, sandboxes)
            return
        now = self.console_app.clock()
        names = sandboxes[0].name if len(sandboxes) == 1 else f"{len(sandboxes)} sandboxes"
        lines = [change.loses(sandbox, now) for sandbox in sandboxes]
        title = change.verb.capitalize()

        def answered(yes: bool | None) -> None:
            if yes:
                self._begin(change, sandboxes)

        app_of(self).push_screen(Confirm(f"{title} {names}?", lines, title), answered)

    def _begin(self, change: Change, sandboxes: list[SandboxView]) -> None:
        for sandbox in sandboxes:
            self.console_app.operations.change(sandbox, change)
        self.rows.clear_marks()

    def custom_targets(self) -> list[Chosen]:
        return [(sandbox, sandbox_values(sandbox)) for sandbox in self.targets()]

    def action_start(self) -> None:
        self._change(START, self.targets())

    def action_pause(self) -> None:
        targets = self.targets()
        self._change(RESUME, [sandbox for sandbox in targets if sandbox.info.state == "paused"])
        self._change(PAUSE, [sandbox for sandbox in targets if sandbox.info.state != "paused"])

    def action_stop(self) -> None:
        self._change(STOP, self.targets())

    def action_restart(self) -> None:
        self._change(RESTART, self.targets())

    def action_remove(self) -> None:
        self._change(REMOVE, self.targets())

    def action_create(self) -> None:
        def filled(fields: Fields | None) -> None:
            if fields is not None:
                self.console_app.operations.create(fields)

        form = CreateForm(sandbox.name for sandbox in self.view.sandboxes)
        app_of(self).push_screen(form, filled)
        self.run_worker(self._offer_images(form), group="images", exclusive=True)

    async def _offer_images(self, form: CreateForm) -> None:
        with suppress(SandtopError):  # the form works without
            form.offer_images(await gateway.image_names())

    def action_exec(self) -> None:
        self.console_app.commands.ask(self.targets())

    def action_shell(self) -> None:
        if self.cursor is not None:
            self.console_app.nav.open_shell(self.cursor)

    def action_logs(self) -> None:
        targets = self.targets()
        ran = [sandbox for sandbox in targets if sandbox.sessions]
        if targets and not ran:
            self.console_app.say_error(f"nothing has run in {targets[0].name} yet: x runs a command in it")
            return
        if len(targets) > 1:
            self.console_app.nav.open_merged(targets)
        elif ran:
            self.console_app.nav.open_session(ran[0], ran[0].sessions[-1])
        self.rows.clear_marks()

    def action_acknowledge(self) -> None:
        self.console_app.operations.acknowledge(self.targets())

    def action_describe(self) -> None:
        if (sandbox := self.cursor) is not None:
            self.console_app.nav.show_page(sandbox.uuid)

    def action_raw(self) -> None:
        if (sandbox := self.cursor) is not None:
            show_raw(self.console_app, sandbox)

    def action_quit(self) -> None:
        """Leave the console. While panes are open ``q`` must come twice: one presses it coming back from them."""
        console, now = self.console_app, self.console_app.clock()
        panes = console.nav.open_panes
        if panes and not 0 <= now - self._asked_to_quit < _TWICE_SECONDS:
            self._asked_to_quit = now
            console.say(f"q again leaves and closes {plural(panes, 'pane')}; what runs goes on")
        else:
            app_of(self).exit()
