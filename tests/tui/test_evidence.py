"""From what needs somebody to what shows why, and on to the next: e, o and u, and the timeline of failures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from tests.fakecore import NOW, FakeCore, ended, sandbox, session

from sandtop.tui.evidence import after, evidence_in
from sandtop.tui.screens import pane_streams
from sandtop.tui.screens.failures import FailuresScreen
from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.terminal_pane import TerminalPane

from .conftest import notice, running, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from sandtop.tui.app import Console
    from sandtop.tui.stream.tail import TailSink

pytestmark = pytest.mark.anyio

TRACEBACK = b"Traceback (most recent call last):\n  somewhere\nValueError: boom\n"


def fleet() -> FakeCore:
    long = ended("a", "api", "python3", "work.py", code=3, said=TRACEBACK, ended_at=NOW - 30)
    long.pieces = [
        (NOW - 90, 2, b"warming up\n"),
        *[(NOW - 80, 1, f"thing {number}\n".encode()) for number in range(200)],
        *long.pieces,
    ]
    screen = ended("b", "web", "sh", "ask.sh", code=1, tty=True, ended_at=NOW - 60)
    screen.raw["tty"] = True
    screen.pieces = [(NOW - 61, 1, b"nobody answered\r\n")]
    return FakeCore(
        sandbox("web"),
        sandbox("api"),
        sandbox("old", "failed", reason="panic", acknowledged=True),
        sandbox("crashed", "failed", reason="kernel panic", changed_at=NOW - 10),
        sandbox("fine"),
        sessions=(
            long,
            screen,
            ended("c", "fine", "true"),
            session("d", "fine", "top", tty=True, waits="other"),
        ),
    )


def pane(app: Console) -> LogPane | TerminalPane:
    screen = app.screen
    assert isinstance(screen, PanesScreen)
    found = screen.current
    assert isinstance(found, (LogPane, TerminalPane))
    return found


async def opened(app: Console, pilot: Pilot[None], key: str) -> None:
    await until(pilot, lambda: isinstance(app.screen, PanesScreen) and pane(app).info is not None)
    await until(pilot, lambda: (info := pane(app).info) is not None and info.id.startswith(key * 16))


async def test_the_most_urgent_first_and_the_newest_of_what_is_as_urgent() -> None:
    with fleet():
        async with running() as (app, _):
            found = evidence_in(app.store.view)
            assert [(one.sandbox.name, one.session is None) for one in found] == [
                ("crashed", True), ("api", False), ("web", False), ("fine", False),
            ]  # fmt: skip
            assert after(found, found[0].key, 1) is found[1]
            assert after(found, found[0].key, -1) is found[-1]
            assert after(found, None, 1, beside=found[2].sandbox.uuid) is found[2]
            assert after(found, "gone", -1) is found[-1]


async def test_through_the_evidence_acknowledging_and_back() -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            assert app.nav.fleet.cursor is not None
            assert app.nav.fleet.cursor.name == "crashed"  # its row says why: it has been seen
            await pilot.press("e")
            await opened(app, pilot, "a")
            log = pane(app)
            assert isinstance(log, LogPane)
            await until(pilot, lambda: not log.view.following)
            shown = log.view.text_shown.splitlines()
            assert "Traceback (most recent call last):" in shown
            assert "ValueError: boom" in shown
            assert "warming up" not in shown
            await pilot.press("o")
            await opened(app, pilot, "b")
            assert isinstance(pane(app), TerminalPane)
            assert app.nav.open_panes == 1
            await until(pilot, lambda: core.sessions["a" * 16].raw["acknowledged"] is True)
            await pilot.press("u")
            await until(pilot, lambda: core.sessions["a" * 16].raw["acknowledged"] is False)
            assert "asks for somebody again" in notice(app)
            await until(pilot, lambda: len(evidence_in(app.store.view)) == 4)
            await pilot.press("E")
            await opened(app, pilot, "a")


async def test_a_sandbox_that_failed_itself_is_gone_to_and_left_by_one_key() -> None:
    with fleet():
        async with running() as (app, pilot):
            fleet_screen = app.nav.fleet
            await pilot.press("E")  # from "crashed", around: the prompt in "fine"
            await opened(app, pilot, "d")
            await pilot.press("e")
            assert cast("object", app.screen) is fleet_screen
            assert fleet_screen.cursor is not None
            assert fleet_screen.cursor.name == "crashed"
            await pilot.press("e")
            await opened(app, pilot, "a")
    with FakeCore(sandbox("only", "failed", reason="kernel panic")):
        async with running() as (app, pilot):
            await pilot.press("e")
            assert notice(app) == "nothing else needs you"


async def test_what_stderr_wrote_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    rest = asyncio.Event()
    said = {1: b"".join(b"thing %d\n" % number for number in range(200)), 2: TRACEBACK}

    async def slowly(
        _uuid: str, _session: str, _lines: int, _floors: object, sink: TailSink, _priority: object
    ) -> None:
        sink.take(1, said[1], 0, NOW)
        await rest.wait()
        sink.take(2, said[2], 0, NOW)

    monkeypatch.setattr(pane_streams, "tail", slowly)
    failed = ended("a", "api", "python3", "work.py", code=3)
    failed.pieces = [(NOW, stream, data) for stream, data in said.items()]
    with FakeCore(sandbox("api"), sessions=(failed,)):
        async with running() as (app, pilot):
            await pilot.press("e")
            await opened(app, pilot, "a")
            log = pane(app)
            assert isinstance(log, LogPane)
            await until(pilot, lambda: "thing 199" in log.view.text_shown)  # all of stdout has come
            rest.set()
            await until(pilot, lambda: not log.view.following)
            assert "Traceback (most recent call last):" in log.view.text_shown


async def test_the_last_of_it_leads_back_to_the_list() -> None:
    with FakeCore(sandbox("api"), sessions=(ended("a", "api", "make", code=2),)):
        async with running() as (app, pilot):
            await pilot.press("e")
            await opened(app, pilot, "a")
            await pilot.press("o")
            await until(pilot, lambda: app.screen is app.nav.fleet)
            await until(pilot, lambda: not app.store.view.troubled)
            await pilot.press("e")
            assert notice(app) == "nobody needs you"
            await pilot.press("u", "u")
            await until(pilot, lambda: bool(app.store.view.troubled))


async def test_the_timeline_of_failures() -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            await pilot.press("F")
            screen = app.screen
            assert isinstance(screen, FailuresScreen)
            rows = screen.rows
            first = [rows.render_line(number).text for number in range(1, 5)]
            assert "crashed" in first[0]
            assert "kernel panic" in first[0]
            assert "exit 3" in first[1]
            assert "ValueError: boom" in first[1]
            assert "sh ask.sh" in first[2]
            assert "○ failed" in first[3]
            await pilot.press("j", "o")
            await until(pilot, lambda: core.sessions["a" * 16].raw["acknowledged"] is True)
            await until(pilot, lambda: "○ exit 3" in rows.render_line(2).text)
            await pilot.press("u")
            await until(pilot, lambda: core.sessions["a" * 16].raw["acknowledged"] is False)
            await until(pilot, lambda: "✖ exit 3" in rows.render_line(2).text)
            await pilot.press("u")
            assert "it asks already" in notice(app)
            await pilot.press("slash", *"ask.sh", "enter")
            assert len(rows.keys) == 1
            await pilot.press("enter")
            await opened(app, pilot, "b")
            await pilot.press("q")
            assert cast("object", app.screen) is screen
            await pilot.press("escape", "q")
            assert cast("object", app.screen) is app.nav.fleet


async def test_nothing_has_failed() -> None:
    with FakeCore(sandbox("fine")):
        async with running() as (app, pilot):
            await pilot.press("F")
            assert app.screen.has_class("-empty")


async def test_all_panes_close_at_once() -> None:
    with fleet():
        async with running() as (app, pilot):
            await pilot.press("F", "j", "enter")
            await opened(app, pilot, "a")
            await pilot.press("|")
            assert app.nav.open_panes == 2
            await pilot.press("X")
            assert app.nav.open_panes == 0
            assert isinstance(app.screen, FailuresScreen)
