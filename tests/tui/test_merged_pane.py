"""The logs of several sandboxes in one pane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, sandbox, session
from textual.widgets import Input

from sandtop.tui.widgets.merged_pane import MergedPane

from .conftest import notice, running, until

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from sandtop.tui.app import Console

pytestmark = pytest.mark.anyio


def fleet() -> FakeCore:
    one, other, quiet = (
        session(key, name, "serve") for key, name in (("a", "api"), ("b", "web"), ("c", "web"))
    )
    one.pieces = [(NOW - 30, 1, b"first\n"), (NOW - 10, 2, b"third\n")]
    other.pieces = [(NOW - 20, 1, b"\x1b[31msecond\x1b[0m\n"), (NOW - 5, 1, b"fourth, no end")]
    return FakeCore(sandbox("api"), sandbox("web"), sandbox("zzz"), sessions=(one, other, quiet))


async def opened(app: Console, pilot: Pilot[None]) -> MergedPane:
    await pilot.press("S", "n", "g", "space", "space", "l")
    await until(pilot, lambda: app.nav.open_panes == 1 and app.nav.panes.takes_keys)
    pane = app.nav.panes.current
    assert isinstance(pane, MergedPane)
    await until(pilot, lambda: "fourth" in shown(pane))
    return pane


def shown(pane: MergedPane) -> str:
    return pane.view.text_shown


async def test_lines_of_all_that_are_marked_by_time_with_their_sandbox_in_front() -> None:
    with fleet() as core:
        async with running(size=(120, 40)) as (app, pilot):
            pane = await opened(app, pilot)
            assert shown(pane).splitlines() == ["api first", "web second", "api third", "web fourth, no end"]
            assert pane.what == "logs of 2 sandboxes: api, web"
            core.emit("b", b" yet\n")
            core.emit("a", b"fifth\n")
            await until(pilot, lambda: "fifth" in shown(pane))
            assert "api fifth" in shown(pane).splitlines()
            await until(pilot, lambda: "web fourth, no end yet" in shown(pane).splitlines())
            colours = {
                strip.text[:3]: next(iter(strip)).style for strip in map(pane.view.render_line, range(1, 5))
            }
            assert colours["api"] != colours["web"]


async def test_filters_search_and_streams_as_in_any_log() -> None:
    with fleet():
        async with running(size=(120, 40)) as (app, pilot):
            pane = await opened(app, pilot)
            await pilot.press("2")
            await until(pilot, lambda: shown(pane) == "api third")
            await pilot.press("2", "2", "ampersand", *"ir", "enter")
            await until(pilot, lambda: shown(pane).splitlines() == ["api first", "api third"])
            await pilot.press("backspace", "exclamation_mark", *"^api ", "enter")  # the name in front counts
            await until(pilot, lambda: shown(pane).splitlines() == ["web second", "web fourth, no end"])
            await pilot.press(
                "backspace", "ampersand", *"^fir", "enter"
            )  # and so does a line's own beginning
            await until(pilot, lambda: shown(pane) == "api first")
            await pilot.press("backspace", "slash", *"sec", "enter")
            await until(pilot, lambda: pane.view.found == 1)


async def test_what_is_saved_passes_the_filters(tmp_path: Path) -> None:
    with fleet():
        async with running(size=(120, 40)) as (app, pilot):
            await opened(app, pilot)
            await pilot.press("exclamation_mark", *"second", "enter", "ctrl+s")
            app.screen.query_one(Input).value = str(tmp_path / "log")
            await pilot.press("enter")
            await until(pilot, lambda: (tmp_path / "log").exists() and "saved" in notice(app))
            assert (tmp_path / "log").read_text() == "api first\napi third\nweb fourth, no end\n"


async def test_the_core_comes_back_and_the_pane_goes_on() -> None:
    with fleet() as core:
        async with running(size=(120, 40)) as (app, pilot):
            pane = await opened(app, pilot)
            await pilot.press("q")
            assert app.screen is app.nav.fleet
            await pilot.press("w", "z")
            assert len(core.asked("core.logs")) == 1
            core.end("a")
            core.emit("b", b"\nlast\n")
            await until(pilot, lambda: "web last" in shown(pane))
