"""Terminals in panes: every key to the program, and the ways out."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, FakeSession, sandbox, session
from textual import events
from textual.geometry import Size
from textual.widgets import Input

from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.widgets.ask_line import AskLine
from sandtop.tui.widgets.bars import KeyBar
from sandtop.tui.widgets.terminal_pane import TerminalPane

from .conftest import notice, running, until

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator

    from textual.pilot import Pilot

    from sandtop.tui.app import Console

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def pane(app: Console) -> TerminalPane:
    found = app.nav.panes.current
    assert isinstance(found, TerminalPane)
    return found


def screen(app: Console) -> list[str]:
    view = pane(app).terminal
    return [view.render_line(y).text.rstrip() for y in range(view.size.height)]


def footer(app: Console) -> str:
    return app.screen.query_one(KeyBar).render_line(0).text


@asynccontextmanager
async def attached(
    output: bytes = b"$ ", *, size: tuple[int, int] = (80, 24)
) -> AsyncGenerator[tuple[Console, Pilot[None], FakeCore, FakeSession]]:
    """A console that stepped into a terminal."""
    one = session("t", "web", "sh", tty=True)
    one.pieces = [(NOW, 1, output)] if output else []
    with FakeCore(sandbox("web"), sessions=(one,)) as core:
        async with running(size=size) as (app, pilot):
            await pilot.press("enter", "a")
            await until(
                pilot,
                lambda: isinstance(app.nav.panes.current, TerminalPane) and app.nav.panes.current.ready,
            )
            await until(pilot, lambda: pane(app).terminal.holds_input and app.focused is pane(app).terminal)
            await until(pilot, lambda: bool(one.sizes))
            yield app, pilot, core, one


async def test_every_key_goes_to_the_program() -> None:
    async with attached() as (app, pilot, _, one):
        await pilot.press(
            "q", "ctrl+c", "ctrl+q", "ctrl+p", "question_mark", "colon", "escape", "tab", "f1", "ctrl+d"
        )
        await until(pilot, lambda: bytes(one.typed) == b"q\x03\x11\x10?:\x1b\t\x1bOP\x04")
        assert isinstance(app.screen, PanesScreen)
        assert app.is_running


async def test_it_shows_what_the_program_draws_and_its_size_is_right() -> None:
    async with attached(b"\x1b]0;my title\x07$ \x1b[31mred\x1b[0m\r\n\x07") as (app, pilot, core, one):
        assert one.sizes[-1] == (21, 80)
        await until(pilot, lambda: screen(app)[0] == "$ red")
        core.emit("t", b"\x1b[2J\x1b[5;5Hmiddle")
        await until(pilot, lambda: screen(app)[4] == "    middle" and screen(app)[0] == "")
        assert "“my title”" in pane(app).what
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: one.sizes[-1] == (27, 100))


async def test_a_paste_is_bracketed_and_cannot_break_out() -> None:
    async with attached(b"\x1b[?2004h$ ") as (app, pilot, _, one):
        await until(pilot, lambda: pane(app).terminal.emulator.modes.bracketed_paste)
        app.post_message(events.Paste("ls\x1b[201~\nrm"))
        await until(pilot, lambda: bytes(one.typed) == b"\x1b[200~ls\rrm\x1b[201~")


async def test_the_mouse_goes_where_it_was_asked_for() -> None:
    async with attached(b"\x1b[?1002h\x1b[?1006h") as (app, pilot, _, one):
        await until(pilot, lambda: pane(app).terminal.emulator.modes.mouse == "drag")
        await pilot.mouse_down(pane(app).terminal, offset=(4, 2))
        await pilot.mouse_up(pane(app).terminal, offset=(4, 2))
        pressed = b"\x1b[<0;5;3M\x1b[<0;5;3m"
        await until(
            pilot, lambda: bytes(one.typed).replace(b"\x1b[<32;5;3M", b"") == pressed
        )  # less the pilot's own moves


async def test_a_drag_selects_and_copies_when_the_program_did_not_ask() -> None:
    async with attached(b"hello world\r\nsecond") as (app, pilot, _, one):
        await until(pilot, lambda: screen(app)[1] == "second")
        await pilot.mouse_down(pane(app).terminal, offset=(6, 0))
        await pilot.hover(pane(app).terminal, offset=(6, 1))
        await pilot.mouse_up(pane(app).terminal, offset=(6, 1))
        assert app.clipboard == "world\nsecond"
        assert not one.typed


async def test_questions_are_answered_once_and_never_for_the_past() -> None:
    async with attached(b"\x1b[c$ ") as (app, pilot, core, one):
        await until(pilot, lambda: screen(app)[0] == "$")
        core.emit("t", b"\x1b[5n")
        await until(pilot, lambda: bytes(one.typed) == b"\x1b[0n")


@pytest.mark.slow
async def test_detach_leaves_it_running_and_one_comes_back() -> None:
    async with attached() as (app, pilot, core, one):
        await pilot.press("a", "ctrl+right_square_bracket")
        await until(pilot, lambda: app.nav.panes.is_empty)
        assert "detached" in notice(app)
        assert not one.ended
        core.emit("t", b"while away")
        await pilot.press("A", "enter")
        await until(
            pilot,
            lambda: isinstance(app.nav.panes.current, TerminalPane) and app.nav.panes.current.ready,
        )
        await until(pilot, lambda: "while away" in screen(app)[0])
        await until(pilot, lambda: pane(app).terminal.holds_input)
        await pilot.press("b")
        await until(pilot, lambda: bytes(one.typed) == b"ab")


async def test_stepped_out_one_scrolls_searches_and_copies() -> None:
    lines = b"".join(b"row %d\r\n" % number for number in range(200))
    async with attached(lines) as (app, pilot, core, one):
        await until(pilot, lambda: "row 199" in screen(app))
        await pilot.press("f12", "pageup")
        assert "row 199" not in screen(app)
        core.emit("t", b"late\r\n")
        before = screen(app)
        await until(pilot, lambda: pane(app).terminal.emulator.scrolled > 180)
        await pilot.press("g")
        assert screen(app)[0] == "row 0"
        await pilot.press("G", "slash", *"row 50", "enter")
        await until(pilot, lambda: "row 50" in screen(app) and "row 199" not in screen(app))
        await pilot.press("V", "down", "down", "y")
        assert app.clipboard == "row 50\nrow 51\nrow 52"
        await pilot.press("0", "right", "v", "down", "$", "left", "y")
        assert app.clipboard == "ow 52\nrow 5"
        assert not one.typed
        await pilot.press("f12", "z")
        await until(pilot, lambda: bytes(one.typed) == b"z")
        assert before


async def test_a_search_leaves_the_window_as_large_as_it_is_and_is_repeated_by_nothing() -> None:
    async with attached(b"".join(b"%d\r\n" % number for number in range(200))) as (app, pilot, _, one):
        await until(pilot, lambda: "199" in screen(app))
        await pilot.press("f12", "slash")
        line = pane(app).query_one(AskLine)
        assert app.focused is line.query_one(Input)
        await until(pilot, lambda: line.region.bottom == pane(app).region.bottom)
        await pilot.press("escape")
        assert not line.display
        assert pane(app).terminal.has_focus
        await pilot.press("slash", *"^1.9$", "enter")
        await until(pilot, lambda: pane(app).terminal.copy_mode.cursor == (199, 0))
        assert pane(app).terminal.copy_mode.back == 0  # it is on the screen: nothing scrolls for it
        await pilot.press("slash", "enter")
        await until(pilot, lambda: pane(app).terminal.copy_mode.cursor == (189, 0))
        await pilot.press("n")
        await until(pilot, lambda: pane(app).terminal.copy_mode.cursor == (179, 0))
        assert "179" in screen(app)
        await pilot.press("escape")
        assert isinstance(app.screen, PanesScreen)
        await until(pilot, lambda: pane(app).terminal.copy_mode.pattern is None)
        assert len(one.sizes) == 1


async def test_a_search_counts_the_rows_that_match_and_says_at_which_it_is() -> None:
    async with attached(b"".join(b"%d\r\n" % number for number in range(200))) as (app, pilot, core, _):

        def title() -> str:
            return " ".join(text for text, _ in pane(app).badges())

        await until(pilot, lambda: "199" in screen(app))
        await pilot.press("f12", "slash", *"^1.9$", "enter")
        await until(pilot, lambda: "/^1.9$  10/10" in title())
        await pilot.press("n", "n")
        await until(pilot, lambda: "/^1.9$  8/10" in title())
        core.emit("t", b"more\r\n" * 30 + b"1x9\r\n")
        await until(pilot, lambda: pane(app).terminal.emulator.scrolled > 200)
        await pilot.press("N")
        await until(pilot, lambda: "/^1.9$  9/11" in title())
        await pilot.press("escape")
        await until(pilot, lambda: "/^1.9$" not in title())


async def test_shift_pageup_steps_out_by_itself() -> None:
    async with attached(b"x\r\n" * 100) as (app, pilot, _, one):
        await until(pilot, lambda: pane(app).terminal.emulator.scrollback_rows > 0)
        await pilot.press("shift+pageup")
        assert pane(app).terminal.copy_mode.back > 0
        assert not one.typed


async def test_watching_takes_nothing_and_taking_over_does() -> None:
    async with attached() as (app, pilot, core, one):
        await pilot.press("f12", "W")
        await until(pilot, lambda: core.asked("session.follow")[-1]["input"] is False)
        await until(pilot, lambda: "watching" in " ".join(text for text, _ in pane(app).badges()))
        await pilot.press("k", "enter", "k")
        core.emit("t", b"still here")
        await until(pilot, lambda: "still here" in screen(app)[0])
        await pilot.press("T")
        await until(
            pilot,
            lambda: core.asked("session.follow")[-1]["input"] is True and pane(app).terminal.holds_input,
        )
        await pilot.press("y")
        await until(pilot, lambda: bytes(one.typed) == b"y")


async def test_a_keyboard_that_somebody_else_has_is_watched_until_one_takes_it() -> None:
    one = session("t", "web", "sh", tty=True, input_holder="other")
    one.pieces = [(NOW, 1, b"$ ")]
    with FakeCore(sandbox("web"), sessions=(one,)) as core:
        async with running() as (app, pilot):
            await pilot.press("enter", "a")
            await until(pilot, lambda: "T takes over" in notice(app))
            await until(pilot, lambda: screen(app)[0] == "$" and not pane(app).terminal.reads_keys)
            assert [request["input"] for request in core.asked("session.follow")] == [True, False]
            await pilot.press("T")
            await until(pilot, lambda: pane(app).terminal.holds_input)
            assert core.asked("session.follow")[-1]["take"] is True
            await pilot.press("y")
            await until(pilot, lambda: bytes(one.typed) == b"y")


async def test_what_is_typed_while_the_core_is_gone_arrives_once() -> None:
    async with attached() as (app, pilot, core, one):
        await pilot.press("a")
        await until(pilot, lambda: bytes(one.typed) == b"a")
        core.die()
        await pilot.press("b", "c")
        core.come_back()
        await pilot.press("d")
        await until(pilot, lambda: bytes(one.typed) == b"abcd")
        core.emit("t", b"back")
        await until(pilot, lambda: screen(app)[0] == "$ back")


async def test_the_end_gives_the_keys_back() -> None:
    async with attached() as (app, pilot, core, _):
        core.end("t", 0)
        await until(pilot, lambda: not pane(app).terminal.holds_input)
        await until(pilot, lambda: "○ exit 0" in " ".join(text for text, _ in pane(app).badges()))
        await pilot.press("escape", "ctrl+w")
        await until(pilot, lambda: app.nav.panes.is_empty)


async def test_a_new_shell_begins_with_the_right_size() -> None:
    with FakeCore(sandbox("web")) as core:
        async with running(size=(90, 30)) as (app, pilot):
            await pilot.press("a")
            await until(pilot, lambda: bool(core.asked("session.exec")))
            asked = core.asked("session.exec")[0]
            assert asked["tty"] == {"rows": 27, "columns": 90}
            assert asked["argv"] == ["/bin/sh"]
            await until(pilot, lambda: pane(app).ready and pane(app).terminal.holds_input)
            await pilot.press("h", "i")
            await until(pilot, lambda: screen(app)[0] == "hi")


async def test_what_is_typed_before_the_shell_is_there_reaches_it(late_shell: asyncio.Event) -> None:
    with FakeCore(sandbox("web")) as core:
        async with running() as (app, pilot):
            await pilot.press("a", "h", "i", "space")
            await until(pilot, lambda: app.focused is pane(app).terminal)
            assert not core.asked("session.exec")
            late_shell.set()
            await until(pilot, lambda: pane(app).terminal.holds_input)
            await pilot.press("y", "o", "u")
            await until(pilot, lambda: screen(app)[0] == "hi you")


async def test_a_shell_that_cannot_start_says_why() -> None:
    with FakeCore(sandbox("web"), sandbox("off", "stopped")) as core:
        core.refusals["session.exec"] = {"code": "spawn", "message": "no /bin/sh", "hint": None}
        async with running() as (app, pilot):
            await pilot.press("a")
            await until(pilot, lambda: isinstance(app.nav.panes.current, TerminalPane))
            await until(pilot, lambda: "no /bin/sh" in " ".join(text for text, _ in pane(app).badges()))
            await pilot.press("f12", "escape", "ctrl+w", "G", "a")
            assert "off is stopped" in notice(app)


async def test_only_what_changed_is_drawn() -> None:
    async with attached(b"\x1b[2J") as (app, pilot, core, _):
        view = pane(app).terminal
        await until(pilot, lambda: view.size == Size(80, 21))
        screen(app)
        drawn: list[int] = []
        original = view._row_strip  # pyright: ignore[reportPrivateUsage]
        view._row_strip = lambda row: drawn.append(row) or original(row)  # type: ignore[method-assign, func-returns-value]  # pyright: ignore
        core.emit("t", b"\x1b[10;1Hx")
        await until(pilot, lambda: screen(app)[9] == "x")
        assert set(drawn) <= {0, 9}


async def test_who_takes_the_keyboard_is_named_and_the_footer_offers_what_works() -> None:
    async with attached() as (app, pilot, core, one):
        await pilot.press("f12")
        assert "step in" in footer(app)
        assert "take over" not in footer(app)
        await pilot.press("f12")
        core.change(lambda: one.raw.update(input_holder="other"))
        await until(pilot, lambda: notice(app) == "other has taken the keyboard of web › sh: T takes it back")
        await until(pilot, lambda: "take over" in footer(app) and "step out" in footer(app))
        assert "keys are for nobody" in footer(app)
        await pilot.press("T")
        await until(pilot, lambda: pane(app).terminal.holds_input)
        await until(pilot, lambda: "has taken" not in notice(app))


async def test_a_pattern_may_end_where_the_text_of_a_row_ends() -> None:
    async with attached(b"".join(b"%d\r\n" % number for number in range(200))) as (app, pilot, _, __):
        await until(pilot, lambda: "199" in screen(app))
        await pilot.press("f12", "slash", *"^3.$", "enter")
        await until(pilot, lambda: "39" in screen(app) and "199" not in screen(app))
