"""The console is its operator's own: settings that are read while it runs, and what it remembers."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, sandbox, session

from sandtop.core.paths import find
from sandtop.tui.config import remembered
from sandtop.tui.screens.dialogs import Confirm
from sandtop.tui.screens.pages import FactPage
from sandtop.tui.screens.pane_names import known, logs_of, sandboxes_in
from sandtop.tui.tiles import Leaf, Split
from sandtop.tui.widgets.bars import KeyBar
from sandtop.tui.widgets.merged_pane import MergedPane
from sandtop.tui.widgets.terminal_pane import TerminalPane

from . import scene
from .conftest import make_console, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from textual.pilot import Pilot

    from sandtop.tui.app import Console

pytestmark = pytest.mark.anyio
WHOLE = {"theme": "dark", "sort": ["need", False], "filter": "", "marks": [], "panes": None, "zoomed": None}


@asynccontextmanager
async def console() -> AsyncGenerator[tuple[Console, Pilot[None]]]:
    """The console with its settings and its memory, in the test's own home."""
    paths = find()
    paths.ensure()
    with FakeCore(*scene.sandboxes(), sessions=scene.sessions()):
        async with running(make_console(paths=paths), size=(120, 30)) as (app, pilot):
            yield app, pilot


def in_list(app: Console) -> bool:
    return app.screen is app.nav.fleet


def settings(text: str) -> Path:
    paths = find()
    paths.ensure()
    paths.settings.write_text(text)
    return paths.settings


async def test_settings_are_in_use_from_the_start() -> None:
    settings(
        '[console]\ntheme = "light"\ncolumns = ["name", "cpu"]\nsort = "name"\nfilter = "api"\n'
        'confirm = []\n[console.keys.fleet]\ndescribe = "ctrl+e"\n'
    )
    async with console() as (app, pilot):
        rows = app.nav.fleet.rows
        assert app.theme_name == "light"
        assert rows.keys == [one.uuid for one in app.store.view.sandboxes if "api" in one.name]
        assert "ATTENTION" not in rows.render_line(0).text
        await pilot.press("d")
        assert in_list(app)
        await pilot.press("ctrl+e")
        assert not in_list(app)


async def test_a_change_is_taken_in_while_it_runs() -> None:
    async with console() as (app, pilot):
        path = settings('[console.keys.fleet]\nlogs = "Z"\n')
        app.personal.look()
        assert app.notices.current(NOW) is not None
        await pilot.pause()
        assert " Z" in str(app.screen.query_one(KeyBar).render())
        path.write_text('[console]\ntheme = "pinkish"\n')
        app.personal.look()
        notice = app.notices.current(NOW)
        assert notice is not None
        assert "console.theme must be one of" in notice[0].text
        await app.run_action("settings")
        await pilot.pause()
        assert isinstance(app.screen, FactPage)
        assert "pinkish" in app.screen.text
        assert "keys.fleet.logs" in app.screen.text
        await pilot.press("escape")
        path.unlink()
        app.personal.look()
        assert app.personal.trouble == ""
        await pilot.press("Z")
        assert in_list(app)


async def test_what_needs_no_question_gets_none() -> None:
    settings('[console]\nconfirm = ["remove"]\n')
    async with console() as (app, pilot):
        await pilot.press("j", "R")
        assert not isinstance(app.screen, Confirm)
        await pilot.press("ctrl+d")
        await until(pilot, lambda: isinstance(app.screen, Confirm))


async def test_theme_order_filter_and_marks_are_as_they_were() -> None:
    async with console() as (app, pilot):
        app.use_theme("light")
        await pilot.press("slash", "a", "p", "i", "enter", "space")
        app.nav.fleet.action_sort("name")
        app.nav.fleet.action_reverse()
        marked = app.nav.fleet.marked
        assert len(marked) == 1
        app.personal.write()
    async with console() as (app, _pilot):
        assert app.theme_name == "light"
        assert app.nav.fleet.order == ("name", True)
        assert app.nav.fleet.filter_text == "api"
        assert app.nav.fleet.marked == marked


async def test_panes_are_as_they_were() -> None:
    async with console() as (app, pilot):
        await pilot.press("slash", "a", "p", "i", "enter", "l")
        await until(pilot, lambda: app.nav.open_panes == 1 and app.nav.panes.takes_keys)
        await pilot.press("vertical_line")
        await until(pilot, lambda: app.nav.open_panes == 2 and app.nav.panes.takes_keys)
        before = app.nav.panes.arrangement()
        assert isinstance(before[0], Split)
        app.personal.write()
    async with console() as (app, pilot):
        assert app.screen is app.nav.fleet
        assert app.nav.open_panes == 2
        assert app.nav.panes.arrangement() == before
        await pilot.press("w")
        await until(pilot, lambda: app.screen is app.nav.panes and app.nav.panes.takes_keys)


async def test_the_logs_of_several_are_as_they_were() -> None:
    async with console() as (app, pilot):
        await pilot.press("space", "space", "l")
        await until(pilot, lambda: app.nav.open_panes == 1 and app.nav.panes.takes_keys)
        pane = app.nav.panes.current
        assert isinstance(pane, MergedPane)
        before = pane.names
        assert len(before) == 2
        app.personal.write()
    gone, left = before
    async with console() as (app, pilot):
        await pilot.press("w")
        await until(pilot, lambda: app.nav.open_panes == 1 and app.nav.panes.takes_keys)
        pane = app.nav.panes.current
        assert isinstance(pane, MergedPane)
        assert pane.names == before
        view = app.store.view
        app.store.view = replace(view, sandboxes=tuple(one for one in view.sandboxes if one.uuid != gone))
        assert sandboxes_in(logs_of(before), app.store.view) == {left: before[left]}
        assert not known(logs_of([gone]), app.store.view)


async def test_a_terminal_that_came_back_can_be_typed_in() -> None:
    one = session("t", "web", "sh", tty=True)
    one.pieces = [(NOW, 1, b"$ ")]
    paths = find()
    paths.ensure()
    for again in (False, True):
        with FakeCore(sandbox("web"), sessions=(one,)):
            async with running(make_console(paths=paths), size=(120, 30)) as (app, pilot):
                assert app.nav.open_panes == int(again)
                await pilot.press("enter", "a")
                await until(pilot, lambda app=app: app.nav.open_panes == 1 and app.nav.panes.takes_keys)  # type: ignore[misc]
                pane = app.nav.panes.current
                assert isinstance(pane, TerminalPane)
                await until(pilot, lambda pane=pane: pane.terminal.holds_input)  # type: ignore[misc]
                await pilot.press("x")
                await until(pilot, lambda: bytes(one.typed).endswith(b"x"))
                app.personal.write()
    assert bytes(one.typed) == b"xx"


async def test_what_config_says_later_comes_first() -> None:
    async with console() as (app, _pilot):
        app.use_theme("light")
        app.nav.fleet.action_sort("name")
        app.personal.write()
    path = settings('[console]\ntheme = "terminal"\n')
    async with console() as (app, _pilot):
        assert app.theme_name == "terminal"
        assert app.nav.fleet.order == ("name", False)
    assert path.exists()


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"theme": 3}', "[" * 100_000, "x" * 300_000,
        json.dumps(WHOLE | {"sort": ["need"]}), json.dumps(WHOLE | {"panes": {"of": [1]}, "zoomed": 1}),
        json.dumps(WHOLE | {"sort": ["no", 3], "marks": [3], "panes": "gone"}),
    ],
)  # fmt: skip
async def test_a_spoilt_memory_is_none(text: str) -> None:
    paths = find()
    paths.ensure()
    (paths.data / remembered.NAME).write_text(text)
    async with console() as (app, _pilot):
        assert app.theme_name == "dark"
        assert app.nav.open_panes == 0
        assert app.nav.fleet.order == ("need", False)


def test_memory_is_private_and_whole(tmp_path: Path) -> None:
    what = remembered.Remembered(
        "light", ("cpu", True), "a", ("u",), Split(True, Leaf("s"), Leaf("t"), 0.25), "t"
    )
    path = tmp_path / remembered.NAME
    remembered.write(path, what)
    assert remembered.read(path)[0] == what
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [remembered.NAME]
    remembered.write(tmp_path / "gone" / remembered.NAME, what)  # there is nowhere to put it: nothing is said
