"""What an operator does in the list, on messages and outcomes; the core at the other end is a scripted one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, ended, sandbox, session
from textual.widgets import Input, Static

from sandtop.tui.screens.create import CreateForm, free_name, read_form
from sandtop.tui.screens.dialogs import Confirm
from sandtop.tui.screens.fleet_rows import ORDER_LETTERS, ORDER_NAMES
from sandtop.tui.screens.pages import Page
from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.screens.run import RunPrompt
from sandtop.tui.screens.sandbox import SandboxScreen
from sandtop.tui.widgets.bars import Header, KeyBar
from sandtop.tui.widgets.row_list import RowList
from sandtop.tui.widgets.text_box import TextBox

from .conftest import notice, running, until

if TYPE_CHECKING:
    from sandtop.tui.app import Console

pytestmark = pytest.mark.anyio


def fleet(*, extra: int = 0) -> FakeCore:
    boxes = [
        sandbox("web"),
        sandbox("db", "failed", reason="panic"),
        sandbox("old", "stopped"),
        sandbox("api"),
    ]
    boxes += [sandbox(f"more-{number:03}") for number in range(extra)]
    return FakeCore(
        *boxes, sessions=(session("a", "web", "tail", "-f", "log"), ended("b", "api", "make", code=2))
    )


def rows(app: Console) -> RowList:
    return app.nav.fleet.query_one("#fleet", RowList)


def names(app: Console) -> list[str]:
    found = [app.store.view.find(key) for key in rows(app).keys]
    return [one.name for one in found if one is not None]


def at(app: Console) -> str:
    return app.nav.fleet.cursor.name if app.nav.fleet.cursor else ""


def in_list(app: Console) -> bool:
    return app.screen is app.nav.fleet


async def test_those_that_need_somebody_come_first() -> None:
    with fleet():
        async with running() as (app, _):
            assert names(app) == ["db", "api", "web", "old"]
            assert at(app) == "db"


async def test_the_cursor_stays_on_its_sandbox_when_the_order_changes() -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            await pilot.press("j", "j")
            assert at(app) == "web"
            core.change(lambda: core.of("web").update(state="failed", reason="died"))
            await until(pilot, lambda: names(app).index("web") < 2)
            assert at(app) == "web"
            core.change(lambda: core.sandboxes.pop("web"))
            await until(pilot, lambda: "web" not in names(app))
            assert at(app) in names(app)


@pytest.mark.parametrize(
    ("letters", "order"),
    [
        (("n",), ["api", "db", "old", "web"]),
        (("s",), ["db", "api", "web", "old"]),
        (("e",), ["web", "api", "db", "old"]),  # sessions
        (("j", "enter"), ["db", "api", "web", "old"]),  # the second, state
    ],
)
async def test_sorting(letters: tuple[str, ...], order: list[str]) -> None:
    with fleet():
        async with running() as (app, pilot):
            await pilot.press("S", *letters)
            assert names(app) == order
            await pilot.press("S", "n", "r")
            assert names(app) == (
                ["web", "old", "db", "api"] if letters != ("n",) else ["api", "db", "old", "web"]
            )


async def test_the_mouse_marks() -> None:
    with fleet():
        async with running() as (app, pilot):
            keys, here = rows(app).keys, rows(app)
            await pilot.click(here, offset=(0, 2))
            assert here.marked == {keys[1]}
            await pilot.click(here, offset=(9, 4), shift=True)
            assert here.marked == set(keys[1:4])
            await pilot.click(here, offset=(9, 3), control=True)
            assert here.marked == {keys[1], keys[3]}
            await pilot.click(here, offset=(9, 1))
            assert here.marked == {keys[1], keys[3]}
            assert in_list(app)


async def test_the_form_names_the_images_and_completes_them() -> None:
    with fleet() as core:
        core.images = ["base", "node-20", "alpine"]
        async with running() as (app, pilot):
            await pilot.press("c")
            form = app.screen
            assert isinstance(form, CreateForm)
            image = form.query_one("#image", Input)
            await until(pilot, lambda: "base, node-20, alpine" in image.placeholder)
            await pilot.press("tab", "n")
            await until(pilot, lambda: image._suggestion == "node-20")  # pyright: ignore[reportPrivateUsage]
            await pilot.press("right", "enter")
            await until(pilot, lambda: bool(core.asked("sandbox.create")))
            assert core.asked("sandbox.create")[0]["image"] == "node-20"


async def test_the_form_fits_a_low_screen() -> None:
    with fleet():
        async with running(size=(60, 20)) as (app, pilot):
            await pilot.press("c", "home", "_", "enter")
            form = app.screen
            assert isinstance(form, CreateForm)
            box = form.query_one(".form")
            assert "✖" in str(form.query_one("#wrong", Static).render())
            assert box.region.height <= 20
            assert not box.show_vertical_scrollbar
            assert form.max_scroll_y == 0


def test_each_order_has_a_letter_of_its_own() -> None:
    shown = dict(ORDER_NAMES)
    assert shown.keys() == ORDER_LETTERS.keys()
    assert len({*ORDER_LETTERS.values()} - {"j", "k", "q"}) == len(shown)
    assert all(letter in shown[name] for name, letter in ORDER_LETTERS.items())


async def test_filter_as_one_types_and_escape_takes_it_back() -> None:
    with fleet():
        async with running() as (app, pilot):
            await pilot.press("slash", *"state:f")
            assert names(app) == ["db"]
            await pilot.press("enter")
            assert app.focused is rows(app)
            await pilot.press("escape")
            assert len(names(app)) == 4


async def test_actions_apply_to_the_marked_that_they_fit() -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            await pilot.press("S", "n", "g", "space", "j", "ctrl+@")
            await pilot.press("b")
            await until(pilot, lambda: len(core.asked("sandbox.start")) == 2)
            started = {request["sandbox"] for request in core.asked("sandbox.start")}
            assert started == {core.of("db")["uuid"], core.of("old")["uuid"]}
            assert not rows(app).marked


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [("web", "b", "nothing to start: web is running"), ("old", "H", "nothing to stop: old is stopped")],
)
async def test_what_is_so_already_is_no_error(name: str, key: str, said: str) -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            app.nav.fleet.select(str(core.of(name)["uuid"]))
            await pilot.press(key)
            assert notice(app) == said
            assert in_list(app)
            assert not core.asked("sandbox.start")


async def test_a_list_in_which_nothing_matches_says_so() -> None:
    with fleet():
        async with running() as (app, pilot):
            await pilot.press("slash", *"zzz")
            assert "nothing matches" in rows(app).render_line(1).text
            await pilot.press("escape")
            assert "db" in rows(app).render_line(1).text


async def test_long_reasons_show_before_columns_that_matter_less() -> None:
    with FakeCore(sandbox("db", "failed", reason="its disk is full: no space left")):
        async with running(size=(80, 24)) as (app, _):
            assert "its disk is full: no … 1h00" in rows(app).render_line(1).text


async def test_stop_asks_and_names_what_ends() -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            app.nav.fleet.select(str(core.of("web")["uuid"]))
            await pilot.press("H")
            assert isinstance(app.screen, Confirm)
            assert "tail -f log" in app.screen.text
            await pilot.press("enter")
            assert in_list(app)
            assert not core.asked("sandbox.stop")
            await pilot.press("H", "y")
            await until(pilot, lambda: core.of("web")["state"] == "stopped")
            await until(pilot, lambda: notice(app) == "web stopped")


@pytest.mark.parametrize(("key", "verb"), [("ctrl+d", "rm"), ("R", "restart")])
async def test_remove_and_restart_ask(key: str, verb: str) -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            app.nav.fleet.select(str(core.of("web")["uuid"]))
            await pilot.press(key, "n")
            await pilot.press(key, "y")
            await until(pilot, lambda: len(core.asked(f"sandbox.{verb}")) == 1)


async def test_pause_and_go_on() -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            app.nav.fleet.select(str(core.of("web")["uuid"]))
            await pilot.press("p")
            await until(
                pilot,
                lambda: app.nav.fleet.cursor is not None and app.nav.fleet.cursor.info.state == "paused",
            )
            await pilot.press("p")
            await until(pilot, lambda: bool(core.asked("sandbox.resume")))


async def test_the_first_sandbox_in_two_keys() -> None:
    with FakeCore() as core:
        async with running() as (app, pilot):
            assert app.nav.fleet.has_class("-empty")
            await pilot.press("c", "enter")
            await until(pilot, lambda: names(app) == ["box"])
            assert core.asked("sandbox.create")[0]["name"] == "box"
            await until(pilot, lambda: at(app) == "box")


async def test_several_at_once() -> None:
    with FakeCore() as core:
        async with running() as (app, pilot):
            await pilot.press("c", *["backspace"] * 3, *"web-{8..10} db", "enter")
            await until(pilot, lambda: len(core.sandboxes) == 4)
            assert sorted(core.sandboxes) == ["db", "web-10", "web-8", "web-9"]
            await until(pilot, lambda: at(app) == "web-8")


async def test_the_form_says_what_is_wrong() -> None:
    with FakeCore() as core:
        async with running() as (app, pilot):
            await pilot.press("c", *"Bad Name", "enter")
            assert isinstance(app.screen, CreateForm)
            await pilot.press("escape")
            assert not core.asked("sandbox.create")


def test_what_the_form_asks_for() -> None:
    values = {
        "name": "a", "image": "", "cpus": "2", "memory": "2G", "disk": "4096", "network": "user", "labels": "team=a x=",
    }  # fmt: skip
    asked = {"cpus": 2, "memory": 2048, "disk": 4096, "network": "user", "labels": {"team": "a", "x": ""}}
    assert read_form(values) == {"names": ["a"], **asked}
    wrongs = [
        {"name": "A"}, {"name": ""}, {"name": "a a"}, {"name": "a{3..1}"}, {"name": "a{1..9999}"}, {"cpus": "0"},
        {"memory": "lots"}, {"disk": "-"}, {"network": "wifi"}, {"labels": "team"},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"\w"):
            read_form({**values, **wrong})
    assert free_name(["box", "box-2"]) == "box-3"


async def test_an_error_stays_until_it_is_read() -> None:
    with fleet() as core:
        core.refusals["sandbox.start"] = {
            "code": "machine",
            "message": "no [bold]memory[/]",
            "hint": "free some",
        }
        async with running() as (app, pilot):
            await pilot.press("b")
            await until(pilot, lambda: "no [bold]memory[/] (free some)" in notice(app))
            app.clock = lambda: NOW + 1000
            app.nav.fleet.tick()
            assert "memory" in notice(app)
            await pilot.press("escape")
            assert notice(app) == ""


async def test_run_a_command_and_tail_it() -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            app.nav.fleet.select(str(core.of("web")["uuid"]))
            await pilot.press("x")
            assert isinstance(app.screen, RunPrompt)
            await pilot.press(*"ls -l", "enter")
            await until(pilot, lambda: isinstance(app.screen, PanesScreen))
            assert core.asked("session.exec")[0]["script"] == "ls -l"
            await pilot.press("q", "x", "up")
            assert app.screen.query_one(Input).value == "ls -l"


@pytest.mark.slow
async def test_describe_raw_help_and_palette() -> None:
    with fleet():
        async with running() as (app, pilot):
            for key, word in (
                ("J", '"command": ['),
                ("question_mark", "sandtop rm --force"),
            ):
                await pilot.press(key)
                await until(pilot, lambda: isinstance(app.screen, Page))
                assert isinstance(app.screen, Page)
                assert word in app.screen.text
                await pilot.press("escape")
            await pilot.press("colon", *"api", "enter")
            await until(pilot, lambda: isinstance(app.screen, SandboxScreen))


async def test_a_long_fact_goes_on_below_itself() -> None:
    reason = "the guest switched itself off; console: " + "a word and another " * 8
    with FakeCore(sandbox("db", "failed", reason=reason)):
        async with running(size=(80, 24)) as (app, pilot):
            await pilot.press("d", "shift+tab")
            lines = app.screen.query_one("#facts", TextBox).text.splitlines()
            first = next(number for number, line in enumerate(lines) if line.startswith("state"))
            assert all(len(line) <= 78 for line in lines)
            assert lines[first + 1].startswith(" " * 10)
            assert "a word and another" in lines[first + 1]


async def test_the_core_hangs_and_the_list_says_so() -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            core.silent = True
            app.clock = lambda: NOW + 12
            await until(pilot, lambda: bool(core.asked("sandbox.list")))
            app.nav.fleet.tick()
            assert "has not answered for 12s" in app.nav.fleet.banner
            await pilot.press("j")
            assert at(app) == "api"
            core.silent = False


async def test_the_core_dies_and_comes_back() -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            core.die()
            await until(pilot, lambda: bool(app.store.view.trouble))
            core.change(lambda: core.sandboxes.pop("old"))
            core.come_back()
            await until(pilot, lambda: "old" not in names(app))
            assert app.store.view.trouble == ""


@pytest.mark.slow
async def test_names_and_labels_cannot_break_out() -> None:
    evil = {"[red]x[/]": "\x1b[2J\u202eabc", "t": "[bold"}
    with FakeCore(
        sandbox("web", labels=evil, reason="[/]\x1b]0;x\x07", state="failed"), sandbox("b")
    ) as core:
        core.change(lambda: core.of("b").update(name="[blink]\x1b[31mb\nb"))
        async with running(size=(290, 50)) as (app, pilot):
            await pilot.press("d", "escape", "enter", "escape", "j", "d", "escape", "colon", "escape")
            text = "".join(rows(app).render_line(y).text for y in range(4))
            assert text.isprintable()
            assert "[red]x[/]=␛[2J�abc" in text
            assert "[blink]␛[31mb␊b" in text


async def test_the_mouse_selects_sorts_and_opens() -> None:
    with fleet():
        async with running() as (app, pilot):
            await pilot.click("#fleet", offset=(4, 3))
            assert at(app) == "web"
            await pilot.click("#fleet", offset=(4, 0))
            assert names(app) == ["api", "db", "old", "web"]
            await pilot.click("#fleet", offset=(4, 1), times=2)
            assert isinstance(app.screen, SandboxScreen)


async def test_long_lists_scroll_with_the_cursor() -> None:
    with fleet(extra=100):
        async with running(size=(80, 24)) as (app, pilot):
            await pilot.press("G")
            last = rows(app).keys[-1]
            assert rows(app).cursor == last
            assert at(app) in rows(app).render_line(rows(app).size.height - 1).text
            await pilot.press("pageup", "g")
            assert rows(app).cursor == rows(app).keys[0]
            assert at(app) in rows(app).render_line(1).text


async def test_ctrl_c_ends_nothing_and_q_leaves() -> None:
    with fleet():
        async with running() as (app, pilot):
            await pilot.press("ctrl+c")
            assert app.is_running
            await pilot.press("q")
        assert app.return_code == 0


async def test_with_panes_open_q_must_come_twice() -> None:
    with fleet() as core:
        async with running() as (app, pilot):
            app.nav.fleet.select(str(core.of("web")["uuid"]))
            await pilot.press("l")
            await until(pilot, lambda: isinstance(app.screen, PanesScreen) and app.screen.takes_keys)
            await pilot.press("q", "q")
            assert app.is_running
            assert notice(app) == "q again leaves and closes 1 pane; what runs goes on"
            await pilot.press("q")
        assert app.return_code == 0


async def test_the_last_line_and_who_needs_you_can_be_clicked() -> None:
    with fleet():
        async with running(size=(120, 24)) as (app, pilot):
            bar, header = app.screen.query_one(KeyBar), app.screen.query_one(Header)
            keys = str(bar.render())
            await pilot.click(bar, offset=(keys.index("create") + 2, 0))
            assert isinstance(app.screen, CreateForm)
            await pilot.press("escape", "G")
            await pilot.click(header, offset=(str(header.render()).index("need") + 1, 0))
            assert at(app) == "db"
            await pilot.click(header, offset=(1, 0))
            assert in_list(app)
