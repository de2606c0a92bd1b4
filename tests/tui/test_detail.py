"""The detail beside a list: it follows the cursor, one look at a time, and shows what hostile programs write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rich.style import Style
from tests.fakecore import NOW, FakeCore, ended, sandbox, session

from sandtop.core.contract.core_events import Happening
from sandtop.tui.screens.listing import Master
from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.screens.sandbox import SandboxScreen
from sandtop.tui.screens.terminals import TerminalsScreen
from sandtop.tui.stream.glance import Glance
from sandtop.tui.widgets.detail import Detail
from sandtop.tui.widgets.thumbnail import first_row, thumbnail

from .conftest import running, until

if TYPE_CHECKING:
    from sandtop.tui.app import Console

pytestmark = pytest.mark.anyio
WIDE = (200, 50)


def fleet() -> FakeCore:
    shell = session("5", "web", "/bin/bash", tty=True, foreground="vim notes", started_at=NOW - 50)
    shell.pieces = [(NOW, 1, b"\x1b]0;my notes\x07\x1b[1;31mfirst\x1b[0m line\r\n$ ")]
    failed = ended("b", "api", "make", code=2)
    failed.pieces = [(NOW - 70, 1, b"compiling\n"), (NOW - 61, 2, b"error: no such file\n")]
    boxes = (sandbox("api"), sandbox("db"), sandbox("web"))
    return FakeCore(*boxes, sessions=(shell, failed, session("c", "api", "./serve")))


def shown(app: Console) -> str:
    return app.screen.query_one(Detail).text


async def test_the_screen_of_a_terminal_and_the_tail_of_a_log() -> None:
    with fleet() as core:
        async with running(size=WIDE) as (app, pilot):
            app.nav.fleet.select(str(core.of("web")["uuid"]))
            await until(pilot, lambda: "first line" in shown(app))
            assert "my notes" in shown(app)
            assert "vim notes" in shown(app)
            app.nav.fleet.select(str(core.of("api")["uuid"]))
            await until(pilot, lambda: "▌error: no such file" in shown(app))
            assert "exit 2 make" in shown(app)
            app.nav.fleet.select(str(core.of("db")["uuid"]))
            await until(pilot, lambda: "nothing has run in it yet" in shown(app))


async def test_it_is_looked_at_again_when_more_was_written_and_only_then() -> None:
    with fleet() as core:
        async with running(size=WIDE) as (app, pilot):
            app.nav.fleet.select(str(core.of("web")["uuid"]))
            await until(pilot, lambda: "first line" in shown(app))
            looks = len(core.asked("session.screen"))
            core.change(lambda: core.of("web").update(labels={"seen": "again"}))
            await until(pilot, lambda: "seen=again" in shown(app))
            assert len(core.asked("session.screen")) == looks
            core.emit("5", b"ls\r\nREADME\r\n")
            await until(pilot, lambda: "README" in shown(app))


async def test_nobody_looks_while_it_does_not_show() -> None:
    with fleet() as core:
        async with running(size=WIDE) as (app, pilot):
            app.nav.fleet.select(str(core.of("api")["uuid"]))
            await until(pilot, lambda: "error: no such file" in shown(app))
            await pilot.press("l")
            await until(pilot, lambda: isinstance(app.screen, PanesScreen) and app.watching.idle)
            looks = len(core.asked("session.logs"))
            core.emit("b", b"more\n")
            seen = app.store.view.version
            await until(pilot, lambda: app.store.view.version > seen + 2)
            assert len(core.asked("session.logs")) == looks
            await pilot.press("q")
            await until(pilot, lambda: "more" in shown(app))


@pytest.mark.parametrize(
    ("size", "place"),
    [((60, 20), ""), ((80, 24), ""), ((119, 33), ""), ((120, 33), "-beside"), ((80, 34), "-below")],
)
async def test_where_it_is(size: tuple[int, int], place: str) -> None:
    with fleet() as core:
        async with running(size=size) as (app, pilot):
            await pilot.pause()
            master = app.screen.query_one(Master)
            assert {"-beside", "-below"}.intersection(master.classes) == ({place} if place else set())
            if not place:
                assert not core.asked("session.screen")
                assert not core.asked("session.logs")


async def test_enter_goes_into_what_it_shows() -> None:
    with fleet() as core:
        async with running(size=WIDE) as (app, pilot):
            app.nav.fleet.select(str(core.of("api")["uuid"]))
            await until(pilot, lambda: "error: no such file" in shown(app))
            await pilot.press("enter")
            assert isinstance(app.screen, SandboxScreen)
            assert "error: no such file" in shown(app)
            await pilot.press("enter")
            await until(pilot, lambda: app.nav.open_panes == 1)
            pane = app.nav.panes.current
            assert pane is not None
            assert pane.info is not None
            assert pane.info.id == core.session("b").id


async def test_it_says_what_happened_to_the_sandbox_beside_its_sessions() -> None:
    with fleet() as core:
        uuid = str(core.of("api")["uuid"])

        def happened(number: int, kind: str, message: str, ago: float = 0.0) -> None:
            one = Happening(id=number, at=NOW - ago, kind=kind, sandbox="api", uuid=uuid, message=message)
            core.change(lambda: core.happenings.append(one))

        happened(1, "paused", "", 300)
        happened(2, "session-started", "make", 200)
        async with running(size=WIDE) as (app, pilot):
            app.nav.fleet.select(uuid)
            await until(pilot, lambda: "   5m ▪ paused" in shown(app))
            happened(3, "trouble", "its disk\x1b[2J is full")
            await until(pilot, lambda: "   0s ▪ trouble its disk␛[2J is full" in shown(app))
            assert "session-started" not in shown(app)  # that it began is known without
            happened(4, "refused", "a.test: the name is not on the list")
            await until(pilot, lambda: "▪ refused a.test: the name is not on the list" in shown(app))


async def test_a_click_into_it_opens_what_it_shows() -> None:
    with fleet() as core:
        async with running(size=WIDE) as (app, pilot):
            app.nav.fleet.select(str(core.of("api")["uuid"]))
            await until(pilot, lambda: "error: no such file" in shown(app))
            await pilot.click(Detail)
            await until(pilot, lambda: app.nav.open_panes == 1)
            pane = app.nav.panes.current
            assert pane is not None
            assert pane.info is not None
            assert pane.info.id == core.session("b").id


async def test_a_long_cause_is_folded_and_keeps_its_age_in_the_list() -> None:
    cause = "ValueError: order 4711 has no customer, and 4712 has none either"
    failed = ended("b", "api", "make", code=2, said=f"{cause}\n".encode(), ended_at=NOW - 120)
    with FakeCore(sandbox("api"), sessions=(failed,)):
        async with running(size=(70, 40)) as (app, pilot):
            await until(pilot, lambda: cause in shown(app).replace("\n", " "))
            lines = shown(app).splitlines()
            assert lines[1] == "▲ exit 2 · ValueError: order 4711 has no customer, and 4712 has none"
            assert lines[2] == "either"
            assert "… 2m " in app.nav.fleet.rows.render_line(1).text


async def test_a_sandbox_that_failed_itself_shows_what_ran_in_it() -> None:
    box = sandbox("api", "failed", reason="kernel panic", changed_at=NOW - 60)
    last = ended("b", "api", "./serve")
    last.pieces = [(NOW - 70, 1, b"serving\n")]
    with FakeCore(box, sessions=(last,)):
        async with running(size=WIDE) as (app, pilot):
            await pilot.press("F")
            await until(pilot, lambda: "serving" in shown(app))
            assert "kernel panic" in shown(app)


async def test_it_goes_on_when_the_core_died_and_came_back() -> None:
    with fleet() as core:
        async with running(size=WIDE) as (app, pilot):
            app.nav.fleet.select(str(core.of("web")["uuid"]))
            await until(pilot, lambda: "first line" in shown(app))
            core.die()
            await until(pilot, lambda: bool(app.store.view.trouble))
            assert "first line" in shown(app)
            core.emit("5", b"written meanwhile\r\n")
            core.come_back()
            await until(pilot, lambda: "written meanwhile" in shown(app))


async def test_a_core_that_does_not_answer_a_look_is_said_and_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sandtop.tui.watching._AGAIN_SECONDS", 0.5)
    with fleet() as core:
        core.refusals["session.screen"] = {"code": "storage", "message": "its disk is gone"}
        async with running(size=WIDE) as (app, pilot):
            app.nav.fleet.select(str(core.of("web")["uuid"]))
            await until(pilot, lambda: "its disk is gone" in shown(app))
            del core.refusals["session.screen"]
            await until(pilot, lambda: "first line" in shown(app))


async def test_the_terminals_are_a_list_with_their_titles_to_come_back_to_one() -> None:
    with fleet() as core:
        async with running(size=WIDE) as (app, pilot):
            await pilot.press("A")
            assert isinstance(app.screen, TerminalsScreen)
            await until(pilot, lambda: "my notes" in app.screen.query_one("#terminals").render_line(1).text)
            assert "vim notes" in app.screen.query_one("#terminals").render_line(1).text
            assert "web › vim notes" not in shown(app)
            assert "first line" in shown(app)
            await pilot.press("enter")
            await until(pilot, lambda: len(core.following) == 1)
            assert core.following[0]["session"] == core.session("5").id
            assert core.following[0]["input"] is not False


LINES = tuple((1, f"line {number}".encode()) for number in range(24))


@pytest.mark.parametrize(
    ("glance", "first"),
    [
        (Glance(LINES), 14),
        (Glance(LINES[:3]), 0),
        (Glance(LINES[:12] + ((1, b""),) * 12, columns=80), 2),
        (Glance(LINES[:2] + ((1, b""),) * 22, columns=80, cursor=(20, 0)), 11),
        (Glance(LINES, columns=80, alternate=True), 0),
        (Glance(LINES, columns=80, alternate=True, cursor=(23, 0)), 14),
    ],
)
def test_which_rows_of_a_screen_show(glance: Glance, first: int) -> None:
    assert first_row(glance, 10) == first


def test_a_thumbnail_is_as_large_as_its_room_whatever_is_in_it() -> None:
    hostile = (
        b"\x1b[2J\x1b[31m" + "界".encode() * 60,
        b"\xff\xfe\x00\x1b]0;",
        b"x" * 70_000,
        b"\x1b[5m\x1b[8mhidden",
    )
    for columns in (0, 80):
        strips = thumbnail(Glance(tuple((2, line) for line in hostile), columns), 40, 6, Style(), Style())
        assert [strip.cell_length for strip in strips] == [40] * 6
        text = "".join(strip.text for strip in strips)
        assert text.isprintable()
        assert "hidden" in text
