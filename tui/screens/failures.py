"""The timeline of failures: what ended badly in all sandboxes, the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.content import Content
from textual.widgets import Static

from sandtop.core.failures import Failure, has_failed, of_sandbox, of_session
from sandtop.tui.actions import ScopeName, bindings_of
from sandtop.tui.text import age, neutral, size
from sandtop.tui.watching import Target
from sandtop.tui.widgets.app_of import app_of
from sandtop.tui.widgets.cells import Column
from sandtop.tui.widgets.detail import Detail, DetailView
from sandtop.tui.widgets.row_list import RowList
from sandtop.tui.widgets.row_view import Cell, Row

from .detail_views import sandbox_detail, session_detail, shown_session, target_of
from .facts import sandbox_facts, session_facts
from .listing import NOTHING_MATCHES, ListScreen, Master
from .pages import FactPage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

    from sandtop.tui.store import FleetView, SandboxView, SessionView

    Entry = tuple[Failure, SandboxView, SessionView | None]

COLUMNS: Final = (
    Column("at", "AGO", 5, rank=1, align="right"),
    Column("sandbox", "SANDBOX", 12, most=24, rank=0),
    Column("ended", "ENDED", 12, most=16, rank=2),
    Column("cause", "CAUSE", 26, share=3, rank=3),
    Column("took", "TOOK", 5, rank=4, align="right"),
    Column("memory", "PEAK", 5, rank=5, align="right"),
    Column("cpu", "CPU", 6, rank=6, align="right"),
    Column("command", "COMMAND", 16, share=1, rank=7),
)


def row(entry: Entry, now: float) -> Row:
    """The row of a failure at the time ``now``; one that was acknowledged is dim."""
    failure, sandbox, session = entry
    plain, bad = ("muted", "muted") if failure.acknowledged else ("plain", "bad")
    cells = {
        "at": Cell("" if failure.at is None else age(now - failure.at), "muted"),
        "sandbox": Cell(neutral(sandbox.name), plain),
        "ended": Cell(f"{'○' if failure.acknowledged else '✖'} {failure.ended}", bad),
        "cause": Cell(neutral(failure.cause or ""), plain),
        "took": Cell("" if failure.seconds is None else age(failure.seconds), plain),
        "memory": Cell("" if failure.memory_peak is None else size(failure.memory_peak), plain),
        "cpu": Cell("" if failure.cpu_seconds is None else f"{failure.cpu_seconds:.1f}s"[:6], plain),
        "command": Cell("" if session is None else session.command, "muted"),
    }
    return Row(_key(entry), cells)


def _key(entry: Entry) -> str:
    return entry[1].uuid if entry[2] is None else entry[2].id


class FailuresScreen(ListScreen):
    """The list of failures. Enter goes to the evidence of one."""

    DEFAULT_CSS = """
    FailuresScreen #nothing { display: none; padding: 1 2; color: $text-muted; }
    FailuresScreen.-empty #nothing { display: block; }
    FailuresScreen.-empty Master { display: none; }
    """
    AUTO_FOCUS: ClassVar[str | None] = "RowList"
    SCOPE: ClassVar[ScopeName] = "failures"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("failures")]

    def __init__(self) -> None:
        super().__init__()
        self._entries: dict[str, Entry] = {}

    def body(self) -> Iterable[Widget]:
        yield Master(RowList(COLUMNS, id="failures"), Detail())
        yield Static(Content("Nothing has failed."), id="nothing", markup=False)
        yield from super().body()

    def place(self) -> tuple[str, ...]:
        text = self.filter_field.value if self.ready else ""
        return ("failures", *([f"/{text}"] if text else []), *self.marked_note)

    def show(self, view: FleetView) -> None:
        now = self.console_app.clock()
        everything = entries(view)
        words = self.filter_field.value.lower().split()
        found = [entry for entry in everything if _matches(entry, words)]
        self._entries = {_key(entry): entry for entry in found}
        self.set_class(not everything, "-empty")
        self.rows.show([row(entry, now) for entry in found], nothing=NOTHING_MATCHES if everything else "")
        self.show_detail()

    def detail_target(self) -> Target | None:
        entry = self._entries.get(self.rows.cursor or "")
        if entry is None:
            return None
        return target_of(entry[1]) if entry[2] is None else Target(entry[1].uuid, entry[2].info)

    def detail_view(self) -> DetailView | None:
        entry = self._entries.get(self.rows.cursor or "")
        if entry is None:
            return None
        (_, sandbox, session), watching = entry, self.console_app.watching
        now, trouble = self.console_app.clock(), watching.trouble
        if session is None:
            shown = shown_session(sandbox)
            return sandbox_detail(sandbox, watching.last(shown.id) if shown else None, trouble, now)
        return session_detail(session, watching.last(session.id), trouble, now).of(neutral(sandbox.name))

    def _chosen(self) -> list[Entry]:
        return [self._entries[key] for key in self.rows.chosen if key in self._entries]

    @on(RowList.Opened, "#failures")
    def _opened(self, event: RowList.Opened) -> None:
        entry = self._entries.get(event.key)
        if entry is None:
            return
        _, sandbox, session = entry
        if session is None:
            self.console_app.nav.show_fleet(sandbox.uuid)
        else:
            self.console_app.nav.show_session_evidence(sandbox.uuid, session.id)

    def action_acknowledge(self) -> None:
        asking = [entry for entry in self._chosen() if not entry[0].acknowledged]
        self.console_app.operations.acknowledge_these([_seen(entry) for entry in asking])
        self.rows.clear_marks()

    def ask_again(self) -> None:
        """The failures under the cursor, or marked, ask again."""
        seen = [_seen(entry) for entry in self._chosen() if entry[0].acknowledged]
        if seen:
            self.console_app.operations.unacknowledge(seen)
            self.rows.clear_marks()
        else:
            self.console_app.say("nobody has acknowledged that: it asks already")

    def action_describe(self) -> None:
        entry = self._entries.get(self.rows.cursor or "")
        if entry is None:
            return
        _, sandbox, session = entry
        title = sandbox.name if session is None else session.command
        facts = (
            sandbox_facts(sandbox, self.console_app.clock()) if session is None else session_facts(session)
        )
        app_of(self).push_screen(FactPage(title, facts))

    def nothing_to_cancel(self) -> None:
        self.action_back()

    def action_back(self) -> None:
        app_of(self).pop_screen()


def entries(view: FleetView) -> list[Entry]:
    """All failures, the newest first."""
    found: list[Entry] = []
    for sandbox in view.sandboxes:
        if sandbox.info.state in ("failed", "lost"):
            found.append((of_sandbox(sandbox.info), sandbox, None))
        found += [
            (of_session(session.info), sandbox, session)
            for session in sandbox.sessions
            if has_failed(session.info)
        ]
    return sorted(found, key=lambda entry: -(entry[0].at or 0.0))


def _seen(entry: Entry) -> tuple[SandboxView, list[str], bool]:
    _, sandbox, session = entry
    return sandbox, [] if session is None else [session.id], session is None


def _matches(entry: Entry, words: list[str]) -> bool:
    failure, sandbox, session = entry
    command = "" if session is None else session.command
    text = f"{sandbox.name} {failure.ended} {failure.cause or ''} {command}".lower()
    return all((word.lstrip("!") in text) != word.startswith("!") for word in words)
