"""Keys that come in one burst, as over a slow line: each takes effect before the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, sandbox, session
from textual.events import Key
from textual.widgets import Input

from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.screens.sandbox import SandboxScreen
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.terminal_pane import TerminalPane

from .conftest import running, until

if TYPE_CHECKING:
    from sandtop.tui.app import Console

pytestmark = pytest.mark.anyio
_NAMES = {"\r": "enter", "/": "slash", "\x1b": "escape", "\x04": "ctrl+d", " ": "space"}


def burst(app: Console, keys: str) -> None:
    """All of ``keys`` at once."""
    for character in keys:
        app.post_message(Key(_NAMES.get(character, character), character))


def core() -> FakeCore:
    log = session("a", "web", "./serve")
    log.pieces = [(NOW, 1, b"".join(b"line %d\n" % number for number in range(200)))]
    return FakeCore(sandbox("web"), sandbox("xenon"), sessions=(log,))


async def test_a_search_has_its_first_letters() -> None:
    with core():
        async with running() as (app, pilot):
            burst(app, "l")
            await until(pilot, lambda: isinstance(app.screen, PanesScreen) and app.screen.takes_keys)
            pane = app.nav.panes.current
            assert isinstance(pane, LogPane)
            await until(pilot, lambda: pane.view.ring.total == 200)
            burst(app, "/line 1.x?5\r")  # x would close the pane, e and q go elsewhere
            await until(pilot, lambda: pane.view.looking_for is not None)
            assert pane.view.looking_for is not None
            assert pane.view.looking_for.pattern == "line 1.x?5"
            await until(pilot, lambda: pane.view.found == 195)
            assert app.nav.panes.current is pane


async def test_what_a_key_opens_gets_the_keys_behind_it() -> None:
    with core() as fake:
        async with running() as (app, pilot):
            burst(app, "xrm -q file\r")
            await until(pilot, lambda: bool(fake.asked("session.exec")))
            assert fake.asked("session.exec")[-1]["script"] == "rm -q file"


async def test_two_filters_and_the_sandbox_behind_them() -> None:
    with core():
        async with running() as (app, pilot):
            burst(app, "/xe\r\r")
            await until(pilot, lambda: isinstance(app.screen, SandboxScreen) and app.screen.ready)
            assert isinstance(app.screen, SandboxScreen)
            assert app.screen.sandbox is not None
            assert app.screen.sandbox.name == "xenon"
            burst(app, "q/web")
            await until(pilot, lambda: app.nav.fleet.query_one("#filter", Input).value == "web")


async def test_enter_behind_a_question_is_a_no() -> None:
    with core() as fake:
        async with running() as (app, pilot):
            burst(app, "\x04\rj")
            await until(
                pilot,
                lambda: app.nav.fleet.cursor is not None and app.nav.fleet.cursor.name == "xenon",
            )
            assert app.screen is app.nav.fleet
            assert not fake.asked("sandbox.rm")
            burst(app, "\x04y")
            await until(pilot, lambda: bool(fake.asked("sandbox.rm")))


async def test_a_shell_gets_no_keys_of_the_console() -> None:
    with core():
        async with running() as (app, pilot):
            burst(app, "axq")
            await until(pilot, lambda: isinstance(app.screen, PanesScreen) and app.screen.takes_keys)
            assert isinstance(app.nav.panes.current, TerminalPane)


@pytest.mark.slow
async def test_keys_keep_their_order() -> None:
    with core():
        async with running() as (app, pilot):
            text = "".join(chr(97 + number % 26) for number in range(300))
            burst(app, "/")
            for start in range(0, len(text), 7):
                burst(app, text[start : start + 7])
                await pilot.pause(0.001)
            field = app.nav.fleet.query_one("#filter", Input)
            await until(pilot, lambda: len(field.value) == 300)
            assert field.value == text
