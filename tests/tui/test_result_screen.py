"""A command in many sandboxes has one result: groups, their differences, and what is done with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pytest
from tests.fakecore import FakeCore, sandbox
from textual.widgets import Static

from sandtop.tui.screens.dialogs import Pick
from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.screens.result import ResultScreen
from sandtop.tui.screens.run import Run, RunPrompt, read_options

from .conftest import notice, running, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from sandtop.tui.app import Console

pytestmark = pytest.mark.anyio


def fleet(count: int = 5) -> FakeCore:
    return FakeCore(*[sandbox(f"web-{number}") for number in range(count)])


def result(app: Console) -> ResultScreen:
    screen = cast("object", app.screen)
    assert isinstance(screen, ResultScreen)
    return screen


def lines(app: Console) -> list[str]:
    rows = result(app).rows
    return [" ".join(rows.render_line(number).text.split()) for number in range(1, len(rows.keys) + 1)]


def output(app: Console) -> str:
    return str(result(app).query_one("#output", Static).render())


async def run_everywhere(app: Console, pilot: Pilot[None], core: FakeCore, *words: str) -> list[str]:
    """Run a command in all; the sessions' ids, by the names of their sandboxes."""
    await pilot.press("*", "x", *words, "enter")
    await until(pilot, lambda: isinstance(app.screen, ResultScreen))
    await until(pilot, lambda: len(core.sessions) == len(core.sandboxes))
    return [one.id for one in sorted(core.sessions.values(), key=lambda one: str(one.raw["sandbox"]))]


def end(core: FakeCore, key: str, said: bytes, code: int = 0, stream: int = 1) -> None:
    core.emit(key, said, stream)
    core.end(key, code)


async def test_groups_as_they_end_and_how_they_differ() -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            keys = await run_everywhere(app, pilot, core, *"uname")
            assert app.nav.open_panes == 0
            assert lines(app) == ["❯ 5 … pending web-0 web-1 web-2 web-3 web-4"]
            assert "it has not ended there" in output(app)
            for key in keys[:3]:
                end(core, key, b"6.1.0\nsame\n")
            end(core, keys[3], b"6.1.9\nsame\n")
            await until(pilot, lambda: "4 exit 0" in result(app).place()[1])
            found = lines(app)
            assert found[0].endswith("3 ● exit 0 6.1.0 web-0 web-1 web-2")
            assert found[1].endswith("1 ● exit 0 differs: +6.1.9 web-3")
            assert result(app).place()[1] == "4 exit 0 · 1 pending · 1 differ"
            await pilot.press("g", "j")
            assert "+6.1.9" in output(app)
            end(core, keys[4], b"boom\n", 7, 2)
            await until(pilot, lambda: any("exit 7" in line for line in lines(app)))
            assert "! boom" in lines(app)[2]


async def test_from_a_group_to_its_sandboxes() -> None:
    with fleet(3) as core:
        async with running() as (app, pilot):
            keys = await run_everywhere(app, pilot, core, *"true")
            for key in keys[:2]:
                end(core, key, b"")
            end(core, keys[2], b"odd\n", 3)
            await until(pilot, lambda: len(lines(app)) == 2)
            await pilot.press("g", "enter")
            assert isinstance(app.screen, Pick)
            await pilot.press("down", "enter")
            await until(pilot, lambda: isinstance(app.screen, PanesScreen))
            await pilot.press("q", "j", "m")
            assert cast("object", app.screen) is app.nav.fleet
            assert app.nav.fleet.rows.marked == {core.of("web-2")["uuid"]}
            assert app.nav.fleet.place() == ("✓ 1 marked",)
            await pilot.press("~")
            assert app.nav.fleet.place() == ("✓ 2 marked",)
            await app.run_action("last_result")
            await pilot.pause()
            assert isinstance(app.screen, ResultScreen)


async def test_the_failed_run_again_and_the_rest_is_ended() -> None:
    with fleet(3) as core:
        async with running() as (app, pilot):
            keys = await run_everywhere(app, pilot, core, *"true")
            end(core, keys[0], b"")
            end(core, keys[1], b"", 4)
            await until(pilot, lambda: len(lines(app)) == 3)
            await pilot.press("ctrl+r")
            await until(pilot, lambda: len(core.sessions) == 4)
            assert len(core.asked("session.exec")) == 4
            assert core.asked("session.exec")[-1]["sandbox"] == core.of("web-1")["uuid"]
            await until(pilot, lambda: len(lines(app)) == 2)
            await pilot.press("ctrl+k")
            await until(pilot, lambda: len(core.asked("session.signal")) == 2)
            assert {request["signal"] for request in core.asked("session.signal")} == {15}


async def test_one_that_cannot_run_it_is_a_group_of_its_own() -> None:
    with fleet(2) as core:
        core.refusals["session.exec"] = {"code": "machine", "message": "it burnt", "hint": ""}
        async with running() as (app, pilot):
            await pilot.press("*", "x", *"true", "enter")
            await until(pilot, lambda: isinstance(app.screen, ResultScreen) and len(lines(app)) == 1)
            await until(pilot, lambda: "error: it burnt" in lines(app)[0])
            await pilot.press("ctrl+k")
            assert "it runs nowhere any more" in notice(app)


async def test_hostile_output_is_neutral() -> None:
    with fleet(2) as core:
        async with running() as (app, pilot):
            keys = await run_everywhere(app, pilot, core, *"evil")
            for key in keys:
                end(core, key, b"\x1b[2J[red]\x07" + os.urandom(300) + b"\n" + b"A" * 200_000)
            await until(pilot, lambda: any("exit 0" in line for line in lines(app)))
            await pilot.press("g", "j", "g")
            assert "\x1b" not in output(app)
            assert all("\x1b" not in line for line in lines(app))


async def test_options_in_a_line_and_a_terminal_by_a_key() -> None:
    with fleet(1) as core:
        async with running() as (_, pilot):
            await pilot.press("x", *"make all", "tab", *"-w /srv -e A=1 --timeout 2m", "ctrl+t", "enter")
            await until(pilot, lambda: bool(core.asked("session.exec")))
            asked = core.asked("session.exec")[0]
            assert (asked["script"], asked["cwd"], asked["timeout"]) == ("make all", "/srv", 120.0)
            assert asked["tty"] is not None
            assert cast("dict[str, str]", asked["env"])["A"] == "1"


async def test_what_is_wrong_with_the_options_is_said() -> None:
    with fleet(2):
        async with running() as (app, pilot):
            await pilot.press("*", "x", *"true", "ctrl+t", "enter")
            prompt = app.screen
            assert isinstance(prompt, RunPrompt)
            assert "a terminal is for one sandbox" in str(prompt.query_one("#wrong", Static).render())


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("", Run("s")),
        ("-t", Run("s", tty=True)),
        ("-w '/a b' --user=www", Run("s", cwd="/a b", user="www")),
        ("--timeout 1.5s -e A=b=c", Run("s", timeout=1.5, env={"A": "b=c"})),
    ],
)
async def test_options(text: str, run: Run) -> None:
    assert read_options("s", text) == run


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-x", "there is no option -x"),
        ("-w", "-w lacks its value"),
        ("-e A", "a variable is KEY=VALUE, not A"),
        ("--timeout soon", "a timeout is a time such as"),
        ("--timeout 0", "a timeout is a time such as"),
        ("-w 'a", "no closing quotation"),
    ],
)
async def test_wrong_options(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_options("s", text)
