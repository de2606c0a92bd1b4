"""The fleet: every sandbox, those that need somebody first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.content import Content
from textual.widgets import Input, Static

from sandtop.tui import gateway
from sandtop.tui.actions import Context, bindings_of
from sandtop.tui.operations import PANES_AT_ONCE
from sandtop.tui.store import SandboxView, parse_filter
from sandtop.tui.text import age, neutral, plural
from sandtop.tui.widgets.app_of import app_of, open_field
from sandtop.tui.widgets.preview import Preview
from sandtop.tui.widgets.row_list import RowList

from . import fleet_rows
from .base import NOTHING_MATCHES, ConsoleScreen
from .create import CreateForm, Fields
from .dialogs import Confirm
from .fitting import fitting
from .pages import FactPage, text_page

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

    from sandtop.tui.operations import Wait
    from sandtop.tui.store import FleetView

_PREVIEW_HEIGHT = 34
"""Rows of screen from which on the sandbox under the cursor is shown below the list."""
_TWICE_SECONDS = 6.0
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


class FleetScreen(ConsoleScreen):
    """The list, its filter and its order."""

    CSS_PATH = "fleet.tcss"
    CONTEXT: ClassVar[Context] = "fleet"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("fleet")]

    def __init__(self) -> None:
        super().__init__()
        self._by = "need"
        self._descending = False
        self._asked_to_quit = -_TWICE_SECONDS
        self.wanted: str | None = None
        """A sandbox to put the cursor on as soon as it is in the list."""

    def body(self) -> Iterable[Widget]:
        yield RowList(fleet_rows.COLUMNS, id="fleet")
        yield Static(_WELCOME, id="welcome")
        yield Preview()
        yield Input(
            placeholder="text  !text  state:failed  label:team=a  image:base", id="filter", compact=True
        )

    # showing

    def show(self, view: FleetView) -> None:
        """Show the sandboxes that the filter lets through."""
        rows = self.query_one("#fleet", RowList)
        now = self.console_app.clock()
        wanted = parse_filter(self.query_one("#filter", Input).value)
        found = [sandbox for sandbox in view.sandboxes if wanted.matches(sandbox)]
        found = fleet_rows.ordered(found, self._by, descending=self._descending)
        rows.show(
            [fleet_rows.row(s, now) for s in found],
            sort=self._by,
            descending=self._descending,
            nothing=NOTHING_MATCHES if view.sandboxes else "",
        )
        self.set_class(view.version > 0 and not view.sandboxes, "-empty")
        if self.wanted is not None and view.find(self.wanted) is not None:
            wanted_uuid, self.wanted = self.wanted, None
            rows.select(wanted_uuid)
        self._show_preview()

    def _show_preview(self) -> None:
        preview = self.query_one(Preview)
        tall = self.size.height >= _PREVIEW_HEIGHT and bool(self.view.sandboxes)
        preview.display = tall
        cursor = self.query_one("#fleet", RowList).cursor
        if tall and cursor is not None and (sandbox := self.view.find(cursor)) is not None:
            preview.show(sandbox, self.console_app.clock())

    def on_resize(self) -> None:
        self._show_preview()

    def place(self) -> tuple[str, ...]:
        text = self.query_one("#filter", Input).value
        return (f"/{text}",) if text else ()

    @on(RowList.Moved, "#fleet")
    def _moved(self) -> None:
        self._show_preview()

    @on(RowList.Opened, "#fleet")
    def _opened(self, event: RowList.Opened) -> None:
        self.console_app.show_sandbox(event.key)

    @on(RowList.TitleClicked, "#fleet")
    def _title_clicked(self, event: RowList.TitleClicked) -> None:
        self.action_sort(fleet_rows.sortable(event.column))

    # the filter and the order

    def action_filter(self) -> None:
        open_field(self.query_one("#filter", Input))

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        self.show(self.view)
        self.tick()

    @on(Input.Submitted, "#filter")
    def _entered(self) -> None:
        self.query_one("#fleet", RowList).focus()

    @on(Input.Blurred, "#filter")
    def _left(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = bool(field.value)

    def action_sort(self, by: str) -> None:
        self._descending = not self._descending if by == self._by else False
        self._by = by
        self.show(self.view)

    def action_reverse(self) -> None:
        self.action_sort(self._by)

    def action_cancel(self) -> None:
        if self.cancelled():
            return
        field, rows = self.query_one("#filter", Input), self.query_one("#fleet", RowList)
        if field.value or field.has_focus:
            field.value = ""
            self.set_focus(rows)
            field.display = False
        else:
            rows.clear_marks()

    # the sandboxes

    def select(self, uuid: str) -> None:
        """Put the cursor on a sandbox, whatever the filter is."""
        rows = self.query_one("#fleet", RowList)
        if not rows.select(uuid):
            self.query_one("#filter", Input).value = ""
            self.query_one("#filter", Input).display = False
            self.show(self.view)
            rows.select(uuid)
        rows.focus()

    @property
    def cursor(self) -> SandboxView | None:
        """The sandbox that the cursor is on."""
        key = self.query_one("#fleet", RowList).cursor
        return self.view.find(key) if key is not None else None

    def targets(self) -> list[SandboxView]:
        """What an action applies to: the marked, else the one under the cursor."""
        found = [self.view.find(key) for key in self.query_one("#fleet", RowList).chosen]
        return [sandbox for sandbox in found if sandbox is not None]

    def _each(self, verb: str, doing: str, done: str, sandboxes: list[SandboxView]) -> None:
        sandboxes, left_alone = fitting(verb, sandboxes)
        if left_alone:
            self.console_app.say(left_alone)
        for sandbox in sandboxes:
            self.console_app.operations.change(sandbox, verb, doing, done)
        self.query_one("#fleet", RowList).clear_marks()

    def action_start(self) -> None:
        self._each("start", "starting", "started", self.targets())

    def action_pause(self) -> None:
        targets = self.targets()
        paused = [sandbox for sandbox in targets if sandbox.info.state == "paused"]
        running = [sandbox for sandbox in targets if sandbox.info.state != "paused"]
        self._each("resume", "resuming", "resumed", paused)
        self._each("pause", "pausing", "paused", running)

    def action_stop(self) -> None:
        self._ask("Stop", "stop", "stopping", "stopped", _ended_by)

    def action_restart(self) -> None:
        self._ask("Restart", "restart", "restarting", "restarted", _ended_by)

    def action_remove(self) -> None:
        self._ask("Remove", "remove", "removing", "removed", _lost_by_removal)

    def _ask(self, title: str, verb: str, doing: str, done: str, consequence: object) -> None:
        targets, left_alone = fitting(verb, self.targets())
        if left_alone:
            self.console_app.say(left_alone)
        if not targets:
            return
        assert callable(consequence)
        now = self.console_app.clock()
        names = targets[0].name if len(targets) == 1 else f"{len(targets)} sandboxes"

        def answered(yes: bool | None) -> None:
            if yes:
                self._each(verb, doing, done, targets)

        lines = [str(consequence(sandbox, now)) for sandbox in targets]
        app_of(self).push_screen(Confirm(f"{title} {names}?", lines, title), answered)

    def action_create(self) -> None:
        def filled(fields: Fields | None) -> None:
            if fields is not None:
                self.console_app.operations.create(fields)

        app_of(self).push_screen(CreateForm(sandbox.name for sandbox in self.view.sandboxes), filled)

    def action_exec(self) -> None:
        self.console_app.operations.ask_command(self.targets())

    def action_shell(self) -> None:
        if self.cursor is not None:
            self.console_app.open_shell(self.cursor)

    def action_logs(self) -> None:
        targets = self.targets()
        ran = [sandbox for sandbox in targets if sandbox.sessions]
        if targets and not ran:
            self.console_app.say_error(f"nothing has run in {targets[0].name} yet: x runs a command in it")
            return
        for sandbox in [*ran[1:PANES_AT_ONCE], *ran[:1]]:  # the first gets the keyboard
            self.console_app.open_session(sandbox, sandbox.sessions[-1])
        if left_out := _left_out(len(targets) - len(ran), len(ran) - PANES_AT_ONCE):
            self.console_app.say(left_out)
        self.query_one("#fleet", RowList).clear_marks()

    def action_acknowledge(self) -> None:
        self.console_app.operations.acknowledge(self.targets())

    def action_describe(self) -> None:
        if (sandbox := self.cursor) is not None:
            app_of(self).push_screen(FactPage(sandbox.name, _facts(sandbox, self.console_app.clock())))

    def action_raw(self) -> None:
        if (sandbox := self.cursor) is not None:

            async def read(wait: Wait) -> str | None:
                raw = await gateway.inspect(sandbox.uuid)
                if wait.over:
                    return f"{sandbox.name} was read late: y shows it"
                app_of(self).push_screen(
                    text_page(sandbox.name, json.dumps(raw, indent=2, ensure_ascii=False))
                )
                return None

            self.console_app.operations.await_result(f"reading {sandbox.name}", read)

    def action_panes(self) -> None:
        self.console_app.show_panes()

    def action_quit(self) -> None:
        """Leave; with panes open only when ``q`` comes twice, as one too many on the way back from them would."""
        console, now = self.console_app, self.console_app.clock()
        if console.open_panes and not 0 <= now - self._asked_to_quit < _TWICE_SECONDS:
            self._asked_to_quit = now
            console.say(f"q again leaves and closes {plural(console.open_panes, 'pane')}; what runs goes on")
        else:
            app_of(self).exit()


def _left_out(idle: int, too_many: int) -> str:
    """What to say of those of the marked sandboxes that got no pane."""
    parts: list[str] = []
    if too_many > 0:
        parts.append(f"a pane for the first {PANES_AT_ONCE}, none for {too_many} more")
    if idle > 0:
        parts.append(f"nothing has run in {idle} of them yet")
    return "; ".join(parts)


def _running(sandbox: SandboxView) -> str:
    running = [session for session in sandbox.sessions if not session.ended]
    if not running:
        return "nothing runs in it"
    return f"{plural(len(running), 'session')} running: {running[-1].command}"


def _ended_by(sandbox: SandboxView, now: float) -> str:
    return f"{sandbox.name}: {_running(sandbox)}; what was written stays"


def _lost_by_removal(sandbox: SandboxView, now: float) -> str:
    made = age(now - sandbox.info.created_at)
    return f"{sandbox.name}, made {made} ago: all that was written in it, its logs; {_running(sandbox)}"


def _facts(sandbox: SandboxView, now: float) -> list[tuple[str, str]]:
    info = sandbox.info
    facts = [
        ("name", info.name),
        ("uuid", info.uuid),
        ("state", f"{info.state}{f': {info.reason}' if info.reason else ''}"),
        ("attention", sandbox.need.text or "–"),
        ("image", info.image),
        ("processors", str(info.cpus)),
        ("memory", f"{info.memory} MiB"),
        ("disk", f"{info.disk} MiB"),
        ("network", info.network),
        ("accelerator", info.accelerator or "–"),
        ("machine's pid", str(info.pid or "–")),
        ("created", f"{age(now - info.created_at)} ago"),
        ("started", f"{age(now - info.started_at)} ago" if info.started_at else "–"),
        ("workdir", info.workdir),
        ("shell", info.shell),
        ("user", info.user),
        ("sessions", f"{sum(not s.ended for s in sandbox.sessions)} running of {len(sandbox.sessions)}"),
    ]
    facts += [(f"label {neutral(key, 30)}", value) for key, value in sorted(info.labels.items())]
    return facts + [(f"env {neutral(key, 30)}", value) for key, value in sorted(info.env.items())]
