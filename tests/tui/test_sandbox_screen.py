"""What an operator does with the sessions of a sandbox."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, ended, sandbox, session
from textual.widgets import Static

from sandtop.tui.screens.dialogs import Confirm
from sandtop.tui.screens.pages import Page
from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.screens.sandbox import SandboxScreen, row
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.row_list import RowList
from sandtop.tui.widgets.terminal_pane import TerminalPane

from .conftest import notice, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from textual.pilot import Pilot

    from sandtop.tui.app import Console

pytestmark = pytest.mark.anyio


def sandbox_with_sessions() -> FakeCore:
    return FakeCore(
        sandbox("web"),
        sessions=(
            session("a", "web", "tail", "-f", "log", started_at=NOW - 10),
            session("t", "web", "sh", tty=True, started_at=NOW - 20),
            ended("b", "web", "make", code=2),
            ended("c", "web", "true", started_at=NOW - 900),
        ),
    )


@asynccontextmanager
async def opened() -> AsyncGenerator[tuple[Console, Pilot[None], FakeCore]]:
    with sandbox_with_sessions() as core:
        async with running() as (app, pilot):
            await pilot.press("enter")
            yield app, pilot, core


def pane_kind(app: Console) -> type[object]:
    return type(app.nav.panes.current)


def commands(app: Console) -> list[str]:
    screen = app.screen
    assert isinstance(screen, SandboxScreen)
    found = [app.store.view.session(key) for key in screen.query_one(RowList).keys]
    return [one[1].command for one in found if one is not None]


async def test_failures_first_then_what_runs() -> None:
    async with opened() as (app, _, _):
        assert commands(app) == ["make", "tail -f log", "sh", "true"]


async def test_a_failure_is_acknowledged_and_stays_in_the_history() -> None:
    async with opened() as (app, pilot, core):
        await pilot.press("o")
        await until(pilot, lambda: commands(app) == ["tail -f log", "sh", "make", "true"])
        assert not app.store.view.troubled
        assert [one["sessions"] for one in core.asked("session.acknowledge")] == [["b" * 16]]


async def test_filter_and_back() -> None:
    async with opened() as (app, pilot, _):
        await pilot.press("slash", *"!tail", "enter")
        assert commands(app) == ["make", "sh", "true"]
        await pilot.press("escape")
        assert len(commands(app)) == 4
        await pilot.press("escape")
        assert app.screen is app.nav.fleet


async def test_enter_tails_and_watches() -> None:
    async with opened() as (app, pilot, core):
        await pilot.press("j", "enter")
        await until(pilot, lambda: bool(core.asked("session.logs")))
        assert pane_kind(app) is LogPane
        await pilot.press("q", "j", "enter")
        await until(pilot, lambda: bool(core.asked("session.follow")))
        assert core.asked("session.follow")[0]["input"] is False
        assert pane_kind(app) is TerminalPane


async def test_attach_steps_into_a_terminal() -> None:
    async with opened() as (app, pilot, core):
        await pilot.press("j", "j", "a")
        await until(pilot, lambda: bool(core.asked("session.follow")))
        assert core.asked("session.follow")[0]["input"] is True
        assert isinstance(app.screen, PanesScreen)


async def test_signals() -> None:
    async with opened() as (_, pilot, core):
        await pilot.press("j", "ctrl+k", "j", "j", "enter")
        await until(pilot, lambda: bool(core.asked("session.signal")))
        sent = core.asked("session.signal")[0]
        assert (sent["session"], sent["signal"], sent["scope"]) == ("a" * 16, 9, "all")


async def test_an_ended_session_takes_no_signal() -> None:
    async with opened() as (app, pilot, _):
        await pilot.press("ctrl+k")
        assert "has ended" in notice(app)


async def test_forget_asks_and_spares_what_runs() -> None:
    async with opened() as (app, pilot, core):
        await pilot.press("space", "space", "ctrl+d", "y")
        await until(pilot, lambda: "make" not in commands(app))
        assert [one["session"] for one in core.asked("session.rm")] == ["b" * 16]


async def test_what_an_ended_session_left_is_counted_ended_and_named_before_it_is_forgotten() -> None:
    async with opened() as (app, pilot, core):
        core.change(lambda: core.session("b").raw.update(left=2))

        def state() -> str:
            found = app.store.view.session("b" * 16)
            return str(row(found[1], NOW).cells["state"].text) if found else ""

        await until(pilot, lambda: state().endswith("+2"))
        await pilot.press("ctrl+k", "enter")
        await until(pilot, lambda: bool(core.asked("session.signal")))
        sent = core.asked("session.signal")[0]
        assert (sent["session"], sent["scope"]) == ("b" * 16, "all")
        await pilot.press("d")
        assert isinstance(app.screen, Page)
        assert "2 processes" in app.screen.text
        await pilot.press("q", "ctrl+d")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        asked = str(app.screen.query_one(".consequences", Static).render())
        assert "ends 2 processes that it left running" in asked


async def test_describe() -> None:
    async with opened() as (app, pilot, _):
        await pilot.press("d")
        assert isinstance(app.screen, Page)
        assert "exit 2" in app.screen.text


async def test_a_sandbox_that_goes_away_says_so() -> None:
    async with opened() as (app, pilot, core):
        core.change(core.sandboxes.clear)
        await until(pilot, lambda: not app.store.view.sandboxes)
        await pilot.press("x", "a", "s", "d", "o", "q")
        assert app.screen is app.nav.fleet
