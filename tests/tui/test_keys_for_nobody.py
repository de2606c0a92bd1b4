"""Text that was meant for a program never becomes a command: not when it ended, nor when its keyboard was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, sandbox, session
from textual import events
from textual.widgets import Input

from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.widgets.bars import KeyBar
from sandtop.tui.widgets.pane_title import PaneTitle

from .conftest import notice, running, until
from .test_terminal_pane import attached, footer, pane, screen

if TYPE_CHECKING:
    import asyncio

    from textual.pilot import Pilot

    from sandtop.tui.app import Console

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TEXT = (
    *"sleep 5; rm -q x; :quit",
    "enter",
    "tab",
    "ctrl+d",
    "ctrl+q",
    "ctrl+p",
    "f1",
    "backspace",
    "up",
    *"Ea|-zcuhpRo",
)
"""Each of them is a command somewhere."""
ASKING = {"core.events", "core.stats", "sandbox.list", "session.list", "session.follow", "session.logs"}


async def type_in_vain(app: Console, pilot: Pilot[None], core: FakeCore) -> None:
    """All of `TEXT`, of which nothing may come."""
    before, panes, here = len(core.requests), app.nav.open_panes, app.nav.panes.current
    await pilot.press(*TEXT)
    app.post_message(events.Paste("echo e\np\n"))
    await pilot.pause()
    assert app.is_running
    assert isinstance(app.screen, PanesScreen)
    assert (app.nav.open_panes, app.nav.panes.current) == (panes, here)
    assert {str(request["op"]) for request in core.requests[before:]} <= ASKING
    said = app.notices.current(app.clock())
    assert said is not None
    assert "nobody read that" in said[0].text or said[0].kind == "error"  # which stays until it is read


@pytest.mark.slow
async def test_what_is_typed_into_a_program_that_ended_is_no_command() -> None:
    async with attached() as (app, pilot, core, one):
        await pilot.press(*"exit", "enter")
        core.end("t", 0)
        await until(pilot, lambda: not pane(app).terminal.reads_keys)
        typed = bytes(one.typed)
        await type_in_vain(app, pilot, core)
        await pilot.press("T")  # there is no keyboard to take
        assert pane(app).terminal.live
        assert notice(app) == "nobody read that: web › sh has ended. esc: keys are commands again"
        assert "esc step out" in footer(app)
        assert "take over" not in footer(app)
        await pilot.press("escape")
        await until(pilot, lambda: not pane(app).terminal.live and isinstance(app.screen, PanesScreen))
        assert not notice(app)  # that was read, and is not so any more
        await pilot.press("escape")
        assert not isinstance(app.screen, PanesScreen)
        assert bytes(one.typed) == typed


@pytest.mark.slow
@pytest.mark.parametrize("key", ["escape", "f12"])
async def test_what_is_typed_when_the_keyboard_was_taken_is_no_command(key: str) -> None:
    async with attached() as (app, pilot, core, one):
        core.change(lambda: one.raw.update(input_holder="other"))
        await until(pilot, lambda: "has taken the keyboard" in notice(app))
        await type_in_vain(app, pilot, core)
        assert not one.typed
        await pilot.press(key)
        assert not pane(app).terminal.live
        assert "has taken the keyboard" not in notice(app)
        await pilot.press("slash", *"sleep")
        core.end("t", 0)  # in the middle of a search
        await until(pilot, lambda: pane(app).has_ended)
        await pilot.press(*" 5")
        assert pane(app).query_one(Input).value == "sleep 5"


async def test_it_is_taken_back_and_what_follows_reaches_the_program() -> None:
    async with attached() as (app, pilot, core, one):
        core.change(lambda: one.raw.update(input_holder="other"))
        await until(pilot, lambda: "has taken the keyboard" in notice(app))
        await pilot.press(*"peT", *"hers")
        await until(pilot, lambda: bytes(one.typed) == b"hers")
        assert core.asked("session.follow")[-1]["take"] is True


@pytest.mark.slow
async def test_who_steps_in_where_somebody_types_and_who_only_watches_types_for_nobody() -> None:
    one = session("t", "web", "sh", tty=True, input_holder="other")
    one.pieces = [(NOW, 1, b"$ ")]
    with FakeCore(sandbox("web"), sessions=(one,)) as core:
        async with running() as (app, pilot):
            await pilot.press("enter", "a")
            await until(pilot, lambda: "T takes over" in notice(app))
            await until(pilot, lambda: screen(app)[0] == "$" and not pane(app).terminal.reads_keys)
            await type_in_vain(app, pilot, core)
            await pilot.press("escape", "ctrl+w", "enter")
            await until(
                pilot,
                lambda: app.nav.open_panes == 1 and pane(app).ready and pane(app).has_focus_within,
            )
            await until(pilot, lambda: core.asked("session.follow")[-1]["input"] is False)
            await type_in_vain(app, pilot, core)
            assert "other types in web › sh. esc: keys are commands again, T types here" in notice(app)


async def test_who_gives_the_keyboard_up_has_commands_already() -> None:
    async with attached() as (app, pilot, core, _):
        await pilot.press("f12", "W")
        await until(pilot, lambda: core.asked("session.follow")[-1]["input"] is False)
        await until(pilot, lambda: not pane(app).terminal.holds_input)
        await pilot.press("ctrl+w")
        await until(pilot, lambda: app.nav.panes.is_empty)


@pytest.mark.slow
async def test_what_is_typed_after_its_sandbox_was_removed_is_no_command() -> None:
    async with attached() as (app, pilot, core, one):

        def remove() -> None:
            one.raw.update(state="lost", exit_code=255, reason="vm-died", record={"reason": "vm-died"})

        core.change(remove)
        await until(pilot, lambda: not pane(app).terminal.reads_keys)
        core.change(core.sessions.clear)
        core.change(core.sandboxes.clear)
        await until(pilot, lambda: not app.store.view.sandboxes)
        await type_in_vain(app, pilot, core)


@pytest.mark.slow
async def test_what_is_typed_ahead_for_a_shell_that_does_not_start_is_no_command() -> None:
    with FakeCore(sandbox("web")) as core:
        core.refusals["session.exec"] = {"code": "spawn", "message": "no /bin/sh", "hint": None}
        async with running() as (app, pilot):
            await pilot.press("a", *"sleep 5", "enter")
            await until(pilot, lambda: "no /bin/sh" in notice(app))
            await type_in_vain(app, pilot, core)


async def test_escape_leaves_the_wait_for_a_shell_that_starts_late(late_shell: asyncio.Event) -> None:
    with FakeCore(sandbox("web")) as core:
        async with running() as (app, pilot):
            await pilot.press("a", *"ls")
            await until(pilot, lambda: app.focused is pane(app).terminal)
            await pilot.press("escape", "escape")
            assert app.screen is app.nav.fleet
            late_shell.set()
            await until(pilot, lambda: pane(app).terminal.holds_input)
            assert app.screen is app.nav.fleet
            await until(pilot, lambda: bytes(core.session("").typed) == b"ls")


async def test_keys_that_come_before_a_terminal_has_the_focus_are_its_own() -> None:
    async with attached() as (app, pilot, core, one):
        app.screen.set_focus(None)
        await pilot.press(*"pe")
        await until(pilot, lambda: bytes(one.typed) == b"pe")
        core.end("t", 0)
        await until(pilot, lambda: not pane(app).terminal.reads_keys)
        app.screen.set_focus(None)
        await pilot.press(*"pe")
        assert isinstance(app.screen, PanesScreen)
        assert {str(request["op"]) for request in core.requests} <= ASKING


async def test_coming_back_to_a_terminal_is_stepping_in() -> None:
    async with attached() as (app, pilot, _, one):
        await pilot.press("f12", "q", "q", "A", "enter")
        await until(pilot, lambda: isinstance(app.screen, PanesScreen) and pane(app).terminal.live)
        await pilot.press("e")
        await until(pilot, lambda: bytes(one.typed) == b"e")


@pytest.mark.slow
async def test_what_was_said_of_a_terminal_that_one_left_goes_when_it_is_not_so_any_more() -> None:
    async with attached() as (app, pilot, core, _):
        await pilot.press("ctrl+right_square_bracket")
        await until(pilot, lambda: "detached from web › sh" in notice(app))
        await pilot.press("A", "enter")
        await until(
            pilot,
            lambda: app.nav.open_panes == 1 and pane(app).ready and pane(app).terminal.holds_input,
        )
        await until(pilot, lambda: not notice(app))
        await pilot.press("ctrl+right_square_bracket")
        await until(pilot, lambda: "detached from web › sh" in notice(app))
        core.end("t", 0)
        await until(pilot, lambda: not notice(app))
        await pilot.press("enter")
        await until(
            pilot,
            lambda: app.nav.open_panes == 1 and pane(app).has_focus_within and pane(app).has_ended,
        )
        await pilot.press("ctrl+right_square_bracket")
        await until(pilot, lambda: notice(app) == "closed web › sh")


async def test_a_narrow_pane_says_who_types() -> None:
    async with attached(size=(26, 12)) as (app, pilot, core, one):
        title = pane(app).query_one(PaneTitle)
        assert "you type" in title.render_line(0).text
        core.change(lambda: one.raw.update(input_holder="other"))
        await until(pilot, lambda: "other types" in title.render_line(0).text)
        assert app.screen.query_one(KeyBar)
