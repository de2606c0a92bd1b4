"""Commands of the operator's own: read from the configuration, in ? and :, on one row or on the marked ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import pytest
from tests.fakecore import FakeCore, ended, sandbox

from sandtop.core.errors import InvalidRequest
from sandtop.core.paths import find
from sandtop.tui import custom
from sandtop.tui.config import Config, CustomCommand, filled, read
from sandtop.tui.custom import run_program
from sandtop.tui.screens.dialogs import Confirm
from sandtop.tui.screens.pages import Page
from sandtop.tui.screens.result import ResultScreen

from .conftest import make_console, notice, running, until

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.tui.app import Console

pytestmark = pytest.mark.anyio

HEAD = "[[console.commands]]\nname = 'it'\n"
SETTINGS = """\
[[console.commands]]
name = "say"
key = "Z"
run = ["echo", "{name} is {state} of {label.team}; {image}"]

[[console.commands]]
name = "reload"
key = "f6"
script = "kill -HUP $(cat {label.pidfile})"
question = "Reload {name}?"

[[console.commands]]
name = "tell"
where = "sessions"
key = "Z"
run = ["sh", "-c", "echo $0: $1 >&2; exit 3", "{name}", "{cause}"]
"""


def write(home: Path, text: str) -> Path:
    path = home / "config" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def fleet() -> FakeCore:
    labels = {"team": "a", "pidfile": "/run/x y.pid"}
    failed = ended("a", "web", "make", code=2, said=b"boom\n", acknowledged=True)
    return FakeCore(sandbox("web", labels=labels), sandbox("zed", labels={}), sessions=(failed,))


def page(app: Console) -> Page:
    screen = cast("object", app.screen)
    assert isinstance(screen, Page)
    return screen


async def test_what_is_read(tmp_path: Path) -> None:
    say, reload, tell = read(write(tmp_path, SETTINGS)).commands
    assert (say.name, say.key, say.where, say.run[0]) == ("say", "Z", "sandboxes", "echo")
    assert (reload.script, reload.question) == ("kill -HUP $(cat {label.pidfile})", "Reload {name}?")
    assert tell == CustomCommand("tell", "sessions", "Z", run=tell.run)
    assert read(tmp_path / "nowhere") == Config()
    assert read(write(tmp_path, "warm_machines = 1\n")) == Config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("console = 3", "console must be a table"),
        ("[console]\nthem = 'x'", "there is no setting console.them"),
        ("[console]\ncommands = 3", "console.commands must be tables"),
        ("[[console.commands]]\nrun = ['x']", "command 1: name must be"),
        (HEAD, "command 'it': it needs one of run"),
        (HEAD + "run = ['x']\nscript = 'y'", "command 'it': it needs one of run"),
        (HEAD + "run = 'x'", "command 'it': run must be a list"),
        (HEAD + "run = ['x']\nwhen = 1", "command 'it': there is no setting when"),
        (HEAD + "run = ['x']\nwhere = 'panes'", "where must be one of sandboxes, sessions"),
        (HEAD + "run = ['x']\nkey = 3", "command 'it': key must be a text"),
        (HEAD + "run = ['{nme}']", "there is no value {nme} of sandboxes (known: cause, image"),
        (HEAD + "run = ['{name!r}']", "there is no value {name}"),
        (HEAD + "run = ['{']", "{{ is a brace"),
        (HEAD + "run = ['{name.__class__}']", "there is no value {name.__class__}"),
        (HEAD + "run = ['x']\nkey = 'c'", "command 'it': the key c is taken by 'create' there"),
        (
            HEAD + "run = ['x']\nkey = 'f7'\n" + HEAD.replace("it", "two") + "run = ['x']\nkey = 'f7'",
            "taken by 'it'",
        ),
        ("console", "config.toml is not valid: "),
    ],
)
async def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        read(write(tmp_path, text))


async def test_values_in_braces() -> None:
    values = {"name": "web", "label.team": "a{b}"}
    assert filled("{name}-{label.team} {{x}} {label.none}|", values) == "web-a{b} {x} |"


async def test_on_the_marked_ones_with_their_values(tmp_path: Path) -> None:
    write(tmp_path, SETTINGS)
    with fleet():
        async with running(make_console(paths=find())) as (app, pilot):
            await pilot.press("S", "n", "*", "Z")
            await until(pilot, lambda: isinstance(app.screen, Page))
            assert "web is running of a; base\n" in page(app).text
            assert "zed is running of ; base" in page(app).text
            await pilot.press("escape", "question_mark")
            assert "Your own" in page(app).text
            assert "reload" in page(app).text or "kill -HUP" in page(app).text


async def test_after_a_question_in_the_sandboxes(tmp_path: Path) -> None:
    write(tmp_path, SETTINGS)
    with fleet() as core:
        async with running(make_console(paths=find())) as (app, pilot):
            await pilot.press("S", "n", "g", "f6")
            question = app.screen
            assert isinstance(question, Confirm)
            assert question.text.splitlines()[0] == "Reload web?"
            await pilot.press("n")
            assert not core.asked("session.exec")
            await pilot.press("f6", "y")
            await until(pilot, lambda: bool(core.asked("session.exec")))
            assert core.asked("session.exec")[0]["script"] == "kill -HUP $(cat '/run/x y.pid')"


async def test_one_script_for_many_has_one_result(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "key = 'f6'\nscript = 'uptime'")
    with fleet() as core:
        async with running(make_console(paths=find())) as (app, pilot):
            await pilot.press("*", "f6")
            await until(pilot, lambda: len(core.asked("session.exec")) == 2)
            assert isinstance(app.screen, ResultScreen)


async def test_on_a_session_and_how_it_failed(tmp_path: Path) -> None:
    write(tmp_path, SETTINGS)
    with fleet():
        async with running(make_console(paths=find())) as (app, pilot):
            await pilot.press("S", "n", "g", "enter", "Z")
            await until(pilot, lambda: isinstance(app.screen, Page))
            assert "web: boom\n(exit 3)" in page(app).text
            assert notice(app) == "tell failed on 1 of 1"


async def test_settings_that_make_no_sense_are_an_error_to_read(tmp_path: Path) -> None:
    write(tmp_path, HEAD)
    with fleet():
        async with running(make_console(paths=find())) as (app, _):
            assert "command 'it': it needs one of run" in notice(app)


async def test_a_program_is_bounded_in_time_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await run_program(["sh", "-c", "exit 4"]) == (4, "")
    assert await run_program(["sh", "-c", "kill -9 $$"]) == (137, "")
    status, text = await run_program(["head", "-c", "1000000", "/dev/zero"])
    assert (status, len(text)) == (0, 64 << 10)
    with pytest.raises(OSError, match="nosuch"):
        await run_program(["nosuch"])
    monkeypatch.setattr(custom, "SECONDS", 0.2)
    assert await run_program(["sh", "-c", "echo begun; sleep 60"]) == (124, "begun\n")
