"""Logs in panes: following, standing still, searching, filtering, and many side by side."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, sandbox, session
from textual.widgets import Input

from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.screens.sandbox import SandboxScreen
from sandtop.tui.widgets.log_pane import LogPane

from .conftest import notice, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from textual.pilot import Pilot

    from sandtop.tui.app import Console

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@asynccontextmanager
async def tailing(
    *lines: tuple[int, bytes], size: tuple[int, int] = (80, 24), gaps: dict[int, int] | None = None
) -> AsyncGenerator[tuple[Console, Pilot[None], FakeCore]]:
    """A console with one pane open on a session that wrote ``lines``."""
    one = session("a", "web", "tail", "-f", "log")
    one.gaps = gaps or {}
    one.pieces = [(NOW + number, stream, data) for number, (stream, data) in enumerate(lines)]
    with FakeCore(sandbox("web"), sessions=(one,)) as core:
        async with running(size=size) as (app, pilot):
            await pilot.press("l")
            await until(
                pilot,
                lambda: isinstance(app.nav.panes.current, LogPane) and app.nav.panes.current.ready,
            )
            await until(
                pilot, lambda: pane(app).view.ring.total >= sum(data.count(b"\n") for _, data in lines)
            )
            yield app, pilot, core


def pane(app: Console) -> LogPane:
    found = app.nav.panes.current
    assert isinstance(found, LogPane)
    return found


def screen(app: Console) -> list[str]:
    view = pane(app).view
    return [view.render_line(y).text.rstrip() for y in range(view.size.height)]


def title(app: Console) -> str:
    return " ".join(text for text, _ in pane(app).badges())


NUMBERED = [(1, b"line %d\n" % number) for number in range(100)]


async def test_it_opens_at_the_end_and_follows() -> None:
    async with tailing(*NUMBERED) as (app, pilot, core):
        await until(pilot, lambda: screen(app)[-1] == " line 99")
        core.emit("a", b"more\n")
        await until(pilot, lambda: screen(app)[-1] == " more")
        assert "following" in title(app)


async def test_it_keeps_its_place_and_counts_what_came() -> None:
    async with tailing(*NUMBERED) as (app, pilot, core):
        await until(pilot, lambda: screen(app)[-1] == " line 99")
        await pilot.press("up", "up")
        await until(pilot, lambda: screen(app)[-1] == " line 97")
        core.emit("a", b"x\ny\nz\n")
        await until(pilot, lambda: "paused · 3 new" in title(app))
        assert screen(app)[-1] == " line 97"
        await pilot.press("end")
        assert screen(app)[-1] == " z"
        await pilot.press("f", "f", "g")
        assert screen(app)[0] == " line 0"
        await pilot.press("pagedown", "pageup", "j", "k")
        assert screen(app)[0] == " line 0"
        await pilot.press(*["pagedown"] * 6)
        assert "following" in title(app)


async def test_search_goes_up_and_down_and_escape_ends_it() -> None:
    async with tailing(*NUMBERED) as (app, pilot, _):
        await pilot.press("slash", *"line 5", "enter")
        await until(pilot, lambda: pane(app).view.found == 59)
        await pilot.press("n")
        await until(pilot, lambda: pane(app).view.found == 58)
        await pilot.press("N")
        await until(pilot, lambda: pane(app).view.found == 59)
        assert " line 59" in screen(app)
        await pilot.press("slash", *"nowhere", "enter")
        await until(pilot, lambda: notice(app) == "nothing found that way")
        await pilot.press("escape")
        assert pane(app).view.looking_for is None
        assert isinstance(app.screen, PanesScreen)


async def test_a_search_moves_sideways_to_what_it_found_in_a_long_line() -> None:
    async with tailing((1, b"a" * 5000 + b"needle" + b"b" * 500 + b"\n"), (1, b"short needle\n")) as (
        app,
        pilot,
        _,
    ):
        await pilot.press("slash", *"needle", "enter")
        await until(pilot, lambda: pane(app).view.found == 1)
        assert screen(app)[1] == " short needle"
        await pilot.press("n")
        await until(pilot, lambda: "aneedleb" in screen(app)[0])
        await pilot.press("N")
        await until(pilot, lambda: screen(app)[1] == " short needle")


async def test_a_search_begins_at_the_newest_line_also_before_it_shows() -> None:
    async with tailing(*NUMBERED) as (app, pilot, _):
        await until(pilot, lambda: screen(app)[-1] == " line 99")
        view = pane(app).view
        view.looking_for = re.compile("needle")
        pane(app).take(1, b"a needle\n", 10_000, None)
        assert screen(app)[-1] == " line 99"
        pane(app).action_search_next(-1)
        await until(pilot, lambda: view.found == 100)


async def test_a_search_waits_for_what_the_pane_opens_with() -> None:
    async with tailing(*NUMBERED) as (app, pilot, core):
        await until(pilot, lambda: screen(app)[-1] == " line 99")
        core.silent = True
        await pilot.press("vertical_line")
        await pilot.press("slash", *"line 5", "enter")
        await until(
            pilot, lambda: len(app.screen.query(LogPane)) == 2 and pane(app).view.looking_for is not None
        )
        assert pane(app).view.ring.total == 0
        core.speak()
        await until(pilot, lambda: pane(app).view.found == 59)
        assert notice(app) == ""


async def test_filters_stack_and_follow() -> None:
    lines = [(1, b"GET /a 200\n"), (1, b"GET /b 500\n"), (2, b"trace 500 debug\n")] * 30
    async with tailing(*lines) as (app, pilot, core):
        await pilot.press("ampersand", *"500", "enter")
        await until(pilot, lambda: set(screen(app)) == {" GET /b 500", "▌trace 500 debug"})
        await pilot.press("exclamation_mark", *"debug", "enter")
        await until(pilot, lambda: set(screen(app)) == {" GET /b 500"})
        core.emit("a", b"GET /c 200\nGET /c 500\n")
        await until(pilot, lambda: screen(app)[-1] == " GET /c 500")
        assert "only /500/" in title(app)
        assert "without /debug/" in title(app)
        await pilot.press("backspace", "backspace")
        await until(pilot, lambda: " GET /c 200" in screen(app))


async def test_stderr_alone_and_times_and_wrap() -> None:
    async with tailing((1, b"out\n"), (2, b"err\n"), (1, b"long " + b"x" * 100 + b"\n")) as (app, pilot, _):
        await until(pilot, lambda: screen(app)[:2] == [" out", "▌err"] and screen(app)[2].endswith("x›"))
        await pilot.press("right")
        await until(pilot, lambda: screen(app)[2].startswith(" xxxx"))
        await pilot.press("left", "L")
        await until(pilot, lambda: screen(app)[3].startswith(" xxxx"))
        await pilot.press("t")
        await until(pilot, lambda: screen(app)[1].startswith("22:13:21 ▌err"))
        await pilot.press("2")
        await until(pilot, lambda: screen(app)[:2] == ["22:13:21 ▌err", ""])
        await pilot.press("2")
        await until(pilot, lambda: screen(app)[0] == "22:13:20  out")


async def test_control_sequences_stay_out_of_the_screen() -> None:
    evil = b"\x1b[2J\x1b[H\x1b]0;title\x07\x1b[31mred\x1b[0m\x9b5n\x00\x08\xe2\x80\xaeabc [bold]x[/]\n"
    async with tailing((1, evil)) as (app, pilot, _):
        await until(pilot, lambda: screen(app)[0] != " no output yet")
        assert screen(app)[0] == " red�5nabc [bold]x[/]"


async def test_gaps_are_told() -> None:
    async with tailing((1, b"rest\n"), gaps={1: 5000}) as (app, pilot, _):
        await until(pilot, lambda: any("4.9K of stdout missing" in line for line in screen(app)))
        assert screen(app)[1] == " rest"


async def test_it_goes_on_from_its_offset_when_the_core_died() -> None:
    async with tailing(*NUMBERED) as (app, pilot, core):
        core.die()
        core.come_back()
        core.emit("a", b"after\n")
        await until(pilot, lambda: screen(app)[-2:] == [" line 99", " after"])
        assert pane(app).view.ring.total == 101


async def test_an_end_is_a_badge_and_the_log_stays() -> None:
    async with tailing(*NUMBERED) as (app, pilot, core):
        core.end("a", 3)
        await until(pilot, lambda: "✖ exit 3" in title(app))
        assert screen(app)[-1] == " line 99"


async def test_a_log_that_cannot_be_read_says_why() -> None:
    with FakeCore(sandbox("web"), sessions=(session("a", "web", "true"),)) as core:
        core.refusals["session.logs"] = {"code": "not-found", "message": "its log is [gone]", "hint": None}
        async with running() as (app, pilot):
            await pilot.press("l")
            await until(
                pilot,
                lambda: isinstance(app.nav.panes.current, LogPane) and "its log is [gone]" in title(app),
            )


async def test_older_lines_come_when_one_goes_to_the_top() -> None:
    lines = [(1, b"".join(b"line %d\n" % number for number in range(5000)))]
    async with tailing() as (app, pilot, core):
        core.change(lambda: core.session("a").pieces.extend((NOW, s, d) for s, d in lines))
        await pilot.press("ctrl+w", "l")
        await until(pilot, lambda: pane(app).ready and pane(app).view.ring.total >= 2000)
        assert pane(app).older
        await pilot.press("g")
        await until(pilot, lambda: screen(app)[0] == " line 0")


async def test_save_and_copy(tmp_path: Path) -> None:
    async with tailing((1, b"\x1b[1mone\x1b[0m\n"), (2, b"two\n")) as (app, pilot, _):

        async def save_to(path: Path) -> None:
            await pilot.press("ctrl+s")
            app.screen.query_one(Input).value = str(path)  # hundreds of keys, each waited for, prove no more
            await pilot.press("enter")

        await until(pilot, lambda: pane(app).view.text_shown == "one\ntwo")
        await pilot.press("y")
        assert app.clipboard == "one\ntwo"
        await save_to(tmp_path / "out.log")
        await until(pilot, lambda: (tmp_path / "out.log").exists() and "saved" in notice(app))
        assert (tmp_path / "out.log").read_bytes() == b"\x1b[1mone\x1b[0m\ntwo\n"
        await save_to(tmp_path / "out.log")
        await until(pilot, lambda: "File exists" in notice(app))


@pytest.mark.slow
async def test_panes_split_zoom_move_and_close() -> None:
    async with tailing(*NUMBERED, size=(120, 40)) as (app, pilot, _):
        first = pane(app)
        await pilot.press("vertical_line")
        await until(pilot, lambda: pane(app) is not first and pane(app).ready)
        second = pane(app)
        await pilot.press("minus")
        await until(pilot, lambda: pane(app) not in (first, second) and pane(app).ready)
        third = pane(app)
        await until(pilot, lambda: third.region.y > second.region.y > 0 and second.region.x > first.region.x)
        await pilot.press("ctrl+left")
        assert pane(app) is first
        await pilot.press("tab", "ctrl+down")
        assert pane(app) is third
        await pilot.press("z")
        await until(pilot, lambda: third.size.width == third.screen.size.width - 1)
        await pilot.press("z", "greater_than_sign", "equals_sign", "ctrl+w")
        await until(pilot, lambda: not third.is_attached)
        assert pane(app) is second
        await pilot.press("ctrl+w", "ctrl+w")
        await until(pilot, lambda: app.nav.panes.is_empty)
        assert app.screen is app.nav.fleet


async def test_panes_stay_while_one_is_elsewhere() -> None:
    async with tailing(*NUMBERED) as (app, pilot, core):
        await pilot.press("escape", "enter")
        assert isinstance(app.screen, SandboxScreen)
        core.emit("a", b"meanwhile\n")
        await until(pilot, lambda: pane(app).view.ring.total == 101)
        await pilot.press("w")
        await until(pilot, lambda: screen(app)[-1] == " meanwhile")


async def test_a_flood_is_taken_without_losing_a_line() -> None:
    async with tailing() as (app, pilot, core):
        block = b"".join(b"%07d some text that fills the line\n" % number for number in range(2000))
        for _ in range(20):
            core.emit("a", block)
        await until(pilot, lambda: pane(app).view.ring.total == 40_000)
        await until(pilot, lambda: screen(app)[-1].startswith(" 0001999"))


async def test_matches_are_counted_and_which_one_it_is() -> None:
    lines = [(1, b"GET /things/%d\n" % number) for number in range(100)] + [(1, b"a 404 here\n")]
    async with tailing(*lines, size=(120, 24)) as (app, pilot, core):
        await pilot.press("slash", *"things/.7", "enter")
        await until(pilot, lambda: "/things/.7  9/9" in title(app))
        await pilot.press("n")
        await until(pilot, lambda: "8/9" in title(app))
        core.emit("a", b"GET /things/47\n")
        await until(pilot, lambda: "8/10" in title(app))
        await pilot.press("exclamation_mark", *"things/1", "enter")
        await until(pilot, lambda: "/9" in title(app))


async def test_what_was_searched_for_before_comes_back_with_the_arrows() -> None:
    async with tailing((1, b"one\ntwo\nthree\n")) as (app, pilot, _core):
        for word in ("first-word", "second-word"):
            await pilot.press("slash", *word, "enter")
        await pilot.press("slash", "up", "up")
        assert pane(app).query_one(Input).value == "first-word"
        await pilot.press("down")
        assert pane(app).query_one(Input).value == "second-word"
        await pilot.press("down")
        assert pane(app).query_one(Input).value == ""
        await pilot.press("escape", "ampersand", "up")
        assert "word" not in pane(app).query_one(Input).value


async def test_dragging_selects_and_copies() -> None:
    async with tailing((1, b"the first line\nthe second line\nthe third line\n")) as (app, pilot, core):
        view = pane(app).view
        await pilot.mouse_down(view, offset=(5, 0))
        await pilot.hover(view, offset=(3, 2))
        assert not view.following
        core.emit("a", b"one more\n")
        await pilot.mouse_up(view, offset=(3, 2))
        await until(pilot, lambda: notice(app) == "copied 3 lines")
        assert app.clipboard == "first line\nthe second line\nthe"
        await pilot.click(view, offset=(5, 1))
        assert app.clipboard == "first line\nthe second line\nthe"


async def test_dragging_beyond_an_edge_scrolls() -> None:
    async with tailing((1, b"".join(b"line %d\n" % number for number in range(200)))) as (app, pilot, _):
        view = pane(app).view
        await until(pilot, lambda: "line 199" in view.text_shown)
        top = view.first_shown
        await pilot.mouse_down(view, offset=(6, 0))
        for _ in range(5):
            await pilot.hover(view, offset=(20, 0))
            await pilot.hover(view, offset=(1, -1))
        await pilot.mouse_up(view, offset=(1, -1))
        first = view.first_shown
        assert first <= top - 5
        await until(pilot, lambda: notice(app) == f"copied {top - first + 1} lines")
        assert app.clipboard.splitlines() == [f"line {number}" for number in range(first, top)] + ["line 1"]
