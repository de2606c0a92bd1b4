"""What comes late takes nothing from whoever went on; what applies to many is done with each, up to a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, ended, sandbox, session

from sandtop.tui import operations
from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.terminal_pane import TerminalPane

from .conftest import notice, running, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from sandtop.tui.app import Console

pytestmark = pytest.mark.anyio


def hold(core: FakeCore) -> None:
    """The core takes requests and answers none."""

    def do() -> None:
        core.silent = True

    core.change(do)


async def asked_late(app: Console, pilot: Pilot[None], core: FakeCore) -> None:
    """A command whose session has yet to start."""
    hold(core)
    await pilot.press("x", *"make all", "enter")
    await until(pilot, lambda: bool(core.asked("session.exec")))
    assert "running in web" in notice(app)


async def comes(app: Console, pilot: Pilot[None], core: FakeCore) -> None:
    """The session starts, and has its pane."""
    core.speak()
    await until(pilot, lambda: bool(app.nav.open_panes) and "w goes to the panes" in notice(app))


async def test_a_command_that_starts_at_once_is_looked_at() -> None:
    with FakeCore(sandbox("web")) as core:
        async with running() as (app, pilot):
            await pilot.press("x", *"make all", "enter")
            await until(pilot, lambda: isinstance(app.screen, PanesScreen) and app.screen.takes_keys)
            assert core.asked("session.exec")


async def test_a_command_that_starts_late_takes_neither_view_nor_keyboard() -> None:
    with FakeCore(sandbox("web"), sandbox("zed")) as core:
        async with running() as (app, pilot):
            await asked_late(app, pilot, core)
            await pilot.press("j")
            await comes(app, pilot, core)
            assert app.screen is app.nav.fleet
            assert notice(app) == "web › make all runs in a pane in the background: w goes to the panes"
            await pilot.press("w")
            await until(
                pilot,
                lambda: isinstance(app.nav.panes.current, LogPane) and app.screen is app.nav.panes,
            )


async def test_it_is_late_after_a_while_also_for_who_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "LATE_SECONDS", 0.0)
    with FakeCore(sandbox("web")) as core:
        async with running() as (app, pilot):
            await asked_late(app, pilot, core)
            await comes(app, pilot, core)
            assert app.screen is app.nav.fleet


@pytest.mark.slow
async def test_who_types_in_a_terminal_goes_on_typing_there() -> None:
    one = session("t", "web", "sh", tty=True)
    one.pieces = [(NOW, 1, b"$ ")]
    with FakeCore(sandbox("web"), sessions=(one,)) as core:
        async with running() as (app, pilot):
            await pilot.press("enter", "a")
            await until(pilot, lambda: app.nav.open_panes == 1 and app.nav.panes.takes_keys)
            terminal = app.nav.panes.current
            assert isinstance(terminal, TerminalPane)
            await until(pilot, lambda: terminal.terminal.holds_input)
            await pilot.press("f12", "q", "q")
            await asked_late(app, pilot, core)
            await pilot.press("w", "f12", *"sle")
            core.speak()
            await until(pilot, lambda: app.nav.open_panes == 2)
            await pilot.press(*"ep 5")
            await until(pilot, lambda: bytes(one.typed) == b"sleep 5")
            assert app.nav.panes.current is terminal


async def test_escape_leaves_a_wait_and_nothing_else() -> None:
    with FakeCore(sandbox("web")) as core:
        async with running() as (app, pilot):
            await pilot.press("space")
            marked = set(app.nav.fleet.query_one("RowList").marked)  # type: ignore[attr-defined]  # pyright: ignore
            await asked_late(app, pilot, core)
            await pilot.press("escape")
            assert app.nav.fleet.query_one("RowList").marked == marked  # type: ignore[attr-defined]  # pyright: ignore
            await comes(app, pilot, core)
            assert app.screen is app.nav.fleet


async def test_what_was_read_and_made_late_takes_neither_view_nor_cursor() -> None:
    with FakeCore(sandbox("web"), sandbox("zed")) as core:
        async with running() as (app, pilot):
            hold(core)
            await pilot.press("J", "j")
            core.speak()
            await until(pilot, lambda: notice(app) == "web was read late: J shows it")
            assert app.screen is app.nav.fleet
            hold(core)
            await pilot.press("c", "enter")
            await until(pilot, lambda: bool(core.asked("sandbox.create")))
            await pilot.press("j")
            core.speak()
            await until(pilot, lambda: len(app.store.view.sandboxes) == 3)
            assert app.nav.fleet.cursor is not None
            assert app.nav.fleet.cursor.name == "zed"


async def test_what_was_acknowledged_in_many_is_counted() -> None:
    boxes = [sandbox(f"box-{number}") for number in range(5)]
    failed = tuple(ended(f"{number}b", f"box-{number}", "make", code=2) for number in range(5))
    with FakeCore(*boxes, sessions=(*failed, ended("cc", "box-0", "make", code=3))) as core:
        async with running() as (app, pilot):
            for _ in boxes:
                await pilot.press("space")
            await pilot.press("o")
            said = "6 failures of 5 sandboxes acknowledged; u takes it back, the history keeps them"
            await until(pilot, lambda: notice(app) == said)
            assert all(one.raw["acknowledged"] for one in core.sessions.values())


async def test_a_log_that_ended_without_a_word_says_so() -> None:
    with FakeCore(sandbox("web"), sessions=(session("a", "web", "true"),)) as core:
        async with running() as (app, pilot):
            await pilot.press("l")
            await until(
                pilot,
                lambda: isinstance(app.nav.panes.current, LogPane) and app.nav.panes.takes_keys,
            )
            pane = app.nav.panes.current
            assert isinstance(pane, LogPane)
            assert pane.view.render_line(0).text.strip() == "no output yet"
            core.end("a")
            await until(pilot, lambda: pane.view.render_line(0).text.strip() == "it wrote nothing")
