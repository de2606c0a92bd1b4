"""The list of a sandbox's sessions: what runs and what ran in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.content import Content
from textual.widgets import Static

from sandtop.tui import gateway
from sandtop.tui.actions import ScopeName, bindings_of
from sandtop.tui.text import age, neutral, rate, size
from sandtop.tui.watching import Target
from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.cells import Column
from sandtop.tui.widgets.detail import Detail, DetailView
from sandtop.tui.widgets.row_list import RowList
from sandtop.tui.widgets.row_view import Cell, Row

from .detail_views import session_detail, session_order
from .dialogs import Confirm, Pick
from .facts import session_facts, session_values
from .listing import NOTHING_MATCHES, ListScreen, Master
from .pages import FactPage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

    from sandtop.tui.custom import Chosen
    from sandtop.tui.store import FleetView, SandboxView, SessionView

COLUMNS: Final = (
    Column("id", "SESSION", 8, rank=3),
    Column("state", "STATE", 14, rank=0),
    Column("command", "COMMAND", 18, share=2, comfort=24, rank=1),
    Column("last", "OUTPUT", 18, share=3, comfort=24, rank=6),
    Column("tty", "TTY", 4, rank=9),
    Column("bytes", "BYTES", 5, rank=4, align="right"),
    Column("rate", "RATE", 7, rank=5, align="right"),
    Column("output", "OUT", 4, rank=8, align="right"),
    Column("began", "BEGAN", 5, rank=2, align="right"),
    Column("lasted", "TOOK", 5, rank=7, align="right"),
    Column("holder", "KEYBOARD", 12, most=24, rank=10),
)
SIGNALS: Final = (
    ("15", "TERM   please end"), ("2", "INT    as ctrl-c does"), ("9", "KILL   end at once"),
    ("1", "HUP    hang up, or read your settings again"), ("3", "QUIT   end with a core dump"),
    ("10", "USR1"), ("12", "USR2"), ("19", "STOP   freeze"), ("18", "CONT   go on"),
)  # fmt: skip


def row(session: SessionView, now: float) -> Row:
    """The row of ``session`` at the time ``now``."""
    info = session.info
    if not session.ended:
        glyph, tone = "●", "good"
    elif session.failed:
        glyph, tone = "✖", "bad" if session.needs_someone else "muted"
    else:
        glyph, tone = "○", "muted"
    end = info.ended_at if info.ended_at is not None else now
    cells = {
        "id": Cell(neutral(info.id[:8]), "muted"),
        "state": Cell(f"{glyph} {session.badge}{f' +{info.left}' if info.left else ''}", tone),
        "command": Cell(session.doing, "muted" if session.ended and not session.needs_someone else "plain"),
        "last": Cell(neutral(info.last_line or ""), "muted"),
        "tty": Cell("term" if info.tty else "", "accent"),
        "bytes": Cell(size(info.stdout_bytes + info.stderr_bytes)),
        "rate": Cell(rate(session.rate), "accent"),
        "began": Cell(age(now - info.started_at) if info.started_at else "", "muted"),
        "lasted": Cell(age(end - info.started_at) if info.started_at else ""),
        "holder": Cell(neutral(info.input_holder or ""), "warn"),
    }
    if session.last_output is not None:
        cells["output"] = Cell(age(now - session.last_output), "muted")
    return Row(info.id, cells)


def ordered(sessions: Iterable[SessionView]) -> list[SessionView]:
    """Sorted: those that need somebody, then those that run, then those that have ended; the newest first of each."""
    return sorted(sessions, key=session_order)


class SandboxScreen(ListScreen):
    """The list of one sandbox's sessions."""

    CSS_PATH = "sandbox.tcss"
    SCOPE: ClassVar[ScopeName] = "sandbox"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("sandbox")]

    def __init__(self, uuid: str) -> None:
        super().__init__()
        self._uuid = uuid
        self._called = ""

    def body(self) -> Iterable[Widget]:
        yield Static("", id="facts", markup=False)
        yield Master(RowList(COLUMNS, id="sessions"), Detail())
        yield Static(
            Content("Nothing has run in it yet.  x runs a command, a opens a shell."),
            id="nothing",
            markup=False,
        )
        yield from super().body()

    @property
    def sandbox(self) -> SandboxView | None:
        """The sandbox, or None when it was removed."""
        return self.view.find(self._uuid)

    def place(self) -> tuple[str, ...]:
        return (self._called, *self.marked_note)

    def show(self, view: FleetView) -> None:
        sandbox = view.find(self._uuid)
        rows = self.rows
        now = self.console_app.clock()
        if sandbox is None:
            rows.show([])
            self.query_one("#facts", Static).update(
                Content.styled(" It is gone: q goes back.", "$text-error")
            )
            return
        self._called = sandbox.name
        words = self.filter_field.value.lower().split()
        found = [s for s in ordered(sandbox.sessions) if _matches(s, words)]
        nothing = NOTHING_MATCHES if sandbox.sessions else ""
        rows.show([row(session, now) for session in found], nothing=nothing)
        self.set_class(not sandbox.sessions, "-empty")
        self.query_one("#facts", Static).update(_summary(sandbox, now))
        self.show_detail()

    def detail_target(self) -> Target | None:
        session = self.cursor
        return Target(self._uuid, session.info) if session is not None else None

    def detail_view(self) -> DetailView | None:
        if (session := self.cursor) is None:
            return None
        watching = self.console_app.watching
        return session_detail(session, watching.last(session.id), watching.trouble, self.console_app.clock())

    def ahead(self) -> list[Target]:
        near = [self._session(key) for key in self.rows.near]
        return [Target(self._uuid, session.info) for session in near if session is not None]

    @property
    def cursor(self) -> SessionView | None:
        """The session that the cursor is on."""
        return self._session(self.rows.cursor)

    def _session(self, key: str | None) -> SessionView | None:
        found = self.view.session(key) if key is not None else None
        return found[1] if found is not None else None

    def targets(self) -> list[SessionView]:
        """The sessions that an action applies to: the marked ones, else the one under the cursor."""
        found = [self._session(key) for key in self.rows.chosen]
        return [session for session in found if session is not None]

    def custom_targets(self) -> list[Chosen]:
        sandbox = self.sandbox
        return [] if sandbox is None else [(sandbox, session_values(sandbox, one)) for one in self.targets()]

    @on(RowList.Opened, "#sessions")
    def _opened(self, event: RowList.Opened) -> None:
        session, sandbox = self._session(event.key), self.sandbox
        if session is not None and sandbox is not None:
            self.console_app.nav.open_session(sandbox, session)

    def action_attach(self) -> None:
        session, sandbox = self.cursor, self.sandbox
        if sandbox is None:
            return
        if session is not None and session.info.tty and not session.ended:
            self.console_app.nav.attach(sandbox, session)
        else:
            self.console_app.nav.open_shell(sandbox)

    def action_shell(self) -> None:
        if (sandbox := self.sandbox) is not None:
            self.console_app.nav.open_shell(sandbox)

    def action_exec(self) -> None:
        if (sandbox := self.sandbox) is not None:
            self.console_app.commands.ask([sandbox])

    def action_signal(self) -> None:
        running = [session for session in self.targets() if not session.ended or session.info.left]
        if not running:
            self.console_app.say_error("that session has ended: nothing to send a signal to")
            return

        def chosen(number: str | None) -> None:
            if number is not None:
                for session in running:
                    self._send(session, int(number))

        what = running[0].command if len(running) == 1 else f"{len(running)} sessions"
        app_of(self).push_screen(Pick(f"Send a signal to all of: {what}", SIGNALS), chosen)

    def _send(self, session: SessionView, number: int) -> None:
        async def work() -> str:
            await gateway.signal(self._uuid, session.id, number)
            return f"sent signal {number} to {session.command}"

        self.console_app.operations.perform(f"signalling {session.id[:8]}", work)

    def action_forget(self) -> None:
        ended = [session for session in self.targets() if session.ended]
        if not ended:
            self.console_app.say_error("only an ended session can be forgotten: ^k ends it")
            return

        def answered(yes: bool | None) -> None:
            if yes:
                for session in ended:
                    self._forget(session)

        lines = [
            f"{session.command}: its exit record and {_written(session)} of log{_ends(session)}"
            for session in ended
        ]
        title = "Forget this session?" if len(ended) == 1 else f"Forget {len(ended)} sessions?"
        app_of(self).push_screen(Confirm(title, lines, "Forget"), answered)

    def _forget(self, session: SessionView) -> None:
        async def work() -> str:
            await gateway.forget(self._uuid, session.id)
            return f"forgot {session.command}"

        self.console_app.operations.perform(f"forgetting {session.id[:8]}", work)

    def action_acknowledge(self) -> None:
        if (sandbox := self.sandbox) is not None:
            self.console_app.operations.acknowledge([sandbox], self.targets())

    def action_describe(self) -> None:
        if (session := self.cursor) is not None:
            app_of(self).push_screen(FactPage(session.command, session_facts(session)))

    def nothing_to_cancel(self) -> None:
        self.action_back()

    def action_back(self) -> None:
        app_of(self).pop_screen()


def _written(session: SessionView) -> str:
    return size(session.info.stdout_bytes + session.info.stderr_bytes)


def _ends(session: SessionView) -> str:
    left = session.info.left
    return f"; ends {left} processes that it left running" if left else ""


def _matches(session: SessionView, words: list[str]) -> bool:
    text = f"{session.command} {session.badge} {session.id}".lower()
    return all((word.lstrip("!") in text) != word.startswith("!") for word in words)


def _summary(sandbox: SandboxView, now: float) -> Content:
    info = sandbox.info
    up = f", up {age(now - info.started_at)}" if info.started_at else ""
    need = f"   ▲ {sandbox.need.text}" if sandbox.need.wants_someone else ""
    facts = f"   {neutral(info.image)}, {info.cpus} cpu, {info.memory} MiB, network {info.network}"
    return Content.assemble(
        (f" {info.state}{up}", "bold"), (facts, "$text-muted"), (need, "bold $text-error")
    )
