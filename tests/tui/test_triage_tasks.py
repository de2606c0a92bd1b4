"""The triage tasks of docs/triage-tasks.md, done with the very keys that the page names."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final, cast

import pytest

from sandtop.tui.screens.failures import FailuresScreen
from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.screens.result import ResultScreen
from sandtop.tui.screens.sandbox_page import SandboxPage
from sandtop.tui.widgets.detail import Detail
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.merged_pane import MergedPane
from sandtop.tui.widgets.terminal_pane import TerminalPane
from sandtop.tui.widgets.text_box import TextBox

from .conftest import running, until
from .triage_scene import PAGE, Task, fleet, read_page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.fakecore import FakeCore
    from textual.pilot import Pilot

    from sandtop.tui.app import Console

    Words = Sequence[Sequence[str]]
    Doing = Callable[["Seen", Words], Awaitable[None]]

QUICK: Final = {1, 3, 5, 8}
"""Tasks that are among the quick tests."""


TASKS: Final = read_page()


def test_the_page_counts_its_keys_and_half_of_them_are_saved() -> None:
    assert [task.number for task in TASKS] == list(range(1, 26))
    assert {task.number: (len(task.before), task.keys) for task in TASKS} == {
        task.number: (task.said_before, task.said_now) for task in TASKS
    }
    before, now = median(len(task.before) for task in TASKS), median(task.keys for task in TASKS)
    assert f"| | **median** | | {before} | | {now} |" in PAGE.read_text()
    assert now <= before / 2


# what the operator sees


@dataclass
class Seen:
    """The console after the keys."""

    app: Console
    pilot: Pilot[None]
    core: FakeCore

    async def until(self, condition: Callable[[], bool]) -> None:
        await until(self.pilot, condition)

    async def press(self, *keys: str) -> None:
        """Press ``keys`` as somebody does who sees what each came to."""
        await self.pilot.press(*keys)
        await self.until(
            lambda: not any(one.group == "operations" and one.is_running for one in self.app.workers)
        )
        before = self.app.store.view.version
        await self.until(lambda: self.app.store.view.version > before + 1)

    def row(self, name: str) -> str:
        """The row of a sandbox in the list."""
        return next(line for line in self.rows if f" {name} " in line)

    @property
    def rows(self) -> list[str]:
        rows = self.app.nav.fleet.rows
        return [rows.render_line(number).text for number in range(1, len(rows.keys) + 1)]

    @property
    def detail(self) -> str:
        return self.app.screen.query_one(Detail).text

    @property
    def log(self) -> LogPane:
        pane = self.app.nav.panes.current
        assert isinstance(pane, LogPane)
        return pane

    @property
    def lines(self) -> list[str]:
        return self.log.view.text_shown.splitlines()

    @property
    def drawn(self) -> list[str]:
        """The lines of the log as they are on the screen, with times and names."""
        view = self.log.view
        lines = [view.render_line(y).text.rstrip() for y in range(view.size.height)]
        return [line for line in lines if line]

    @property
    def title(self) -> str:
        return " ".join(text for text, _ in self.log.badges())

    def screen_shows(self, text: str) -> bool:
        pane = self.app.nav.panes_if_any.current if self.app.nav.panes_if_any else None
        if not isinstance(pane, TerminalPane) or not pane.ready:
            return False
        return any(text in pane.terminal.render_line(y).text for y in range(pane.terminal.size.height))

    def shows_log_of(self, name: str) -> bool:
        screen = cast("object", self.app.screen)
        if not isinstance(screen, PanesScreen):
            return False
        pane = screen.current
        return (
            isinstance(pane, LogPane) and pane.sandbox == name and pane.ready and bool(pane.view.text_shown)
        )

    @property
    def result(self) -> list[str]:
        """The rows of the result of a command in many."""
        screen = cast("object", self.app.screen)
        assert isinstance(screen, ResultScreen)
        return [screen.rows.render_line(number).text for number in range(1, len(screen.rows.keys) + 1)]

    def at_evidence_of(self, name: str) -> bool:
        """The pane in front is of ``name``, whose session wrote nothing."""
        screen = cast("object", self.app.screen)
        pane = screen.current if isinstance(screen, PanesScreen) else None
        return isinstance(pane, LogPane) and pane.sandbox == name and pane.ready

    @property
    def needing(self) -> list[str]:
        return [sandbox.name for sandbox in self.app.store.view.troubled]

    def ran(self, script: str) -> dict[str, str]:
        """The sandboxes in which ``script`` runs or ran, each with its newest session."""
        found = [
            one for one in self.core.sessions.values() if cast("list[str]", one.raw["argv"])[-1] == script
        ]
        return {str(one.raw["sandbox"]): one.id for one in found}

    def end(self, key: str, said: bytes, code: int = 0) -> None:
        self.core.emit(key, said)
        self.core.end(key, code)


CHECKS: Final[dict[int, Callable[[Seen, Words], Awaitable[None]]]] = {}


def through(number: int) -> Callable[[Doing], None]:
    """Task ``number``: what presses its keys itself, to look between them."""

    def take(doing: Doing) -> None:
        CHECKS[number] = doing

    return take


def after(number: int) -> Callable[[Callable[[Seen], Awaitable[None]]], None]:
    """Task ``number``: what the operator sees when its keys were pressed."""

    def take(check: Callable[[Seen], Awaitable[None]]) -> None:
        async def doing(seen: Seen, words: Words) -> None:
            for keys in words:
                await seen.press(*keys)
            await check(seen)

        CHECKS[number] = doing

    return take


@pytest.mark.anyio
@pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, id=str(task.number), marks=[] if task.number in QUICK else pytest.mark.slow)
        for task in TASKS
    ],
)
async def test_task(task: Task) -> None:
    with fleet() as core:
        async with running(size=(120, 40)) as (app, pilot):
            seen = Seen(app, pilot, core)
            await until(pilot, lambda: app.store.view.host.stats is not None)
            await CHECKS[task.number](seen, task.now)


# why


@after(1)
async def _(seen: Seen) -> None:
    assert "exit 3 · ValueError: order 4711 has… 3m" in seen.row("api-2")
    await seen.until(lambda: "▌ValueError: order 4711 has no customer" in seen.detail)


@after(2)
async def _(seen: Seen) -> None:
    assert "oom · 1.9G at its peak" in seen.row("builder")


@after(3)
async def _(seen: Seen) -> None:
    screen = cast("object", seen.app.screen)
    assert isinstance(screen, FailuresScreen)
    rows = [screen.rows.render_line(number).text for number in (1, 2, 3)]
    for row, ago, command in zip(rows, ("1m", "3m", "5m"), ("pytest", "work.py", "load.sh"), strict=True):
        assert ago in row
        assert command in row


@after(4)
async def _(seen: Seen) -> None:
    await seen.until(lambda: seen.shows_log_of("api-2"))
    await seen.until(lambda: "Traceback (most recent call last):" in seen.lines)
    assert "order 199 done" in seen.lines  # what came before it
    assert not any("ValueError" in line for line in seen.lines)


@after(5)
async def _(seen: Seen) -> None:
    await seen.until(lambda: "assert 41 == 42" in seen.detail)


@through(6)
async def _(seen: Seen, words: Words) -> None:
    shown: tuple[Callable[[], bool], ...] = (
        lambda: seen.screen_shows("assert 41 == 42"),
        lambda: seen.shows_log_of("api-2"),
        lambda: seen.at_evidence_of("etl"),
        lambda: seen.at_evidence_of("builder"),
        lambda: seen.screen_shows("release 1.4 now?"),
        lambda: "cycle 7 done" in seen.detail,
    )
    assert "kernel panic" in seen.detail  # the cursor is on it
    for keys, look in zip(words, shown, strict=True):
        await seen.press(*keys)
        await seen.until(look)


@through(7)
async def _(seen: Seen, words: Words) -> None:
    shown: tuple[Callable[[], bool], ...] = (
        lambda: seen.core.of("crawler")["acknowledged"] is True,
        lambda: seen.screen_shows("assert 41 == 42"),
        lambda: seen.shows_log_of("api-2"),
        lambda: seen.at_evidence_of("etl"),
        lambda: seen.at_evidence_of("builder"),
        lambda: seen.screen_shows("release 1.4 now?"),
    )
    for keys, look in zip(words, shown, strict=True):
        await seen.press(*keys)
        await seen.until(look)
    await seen.until(lambda: seen.needing == ["release", "fuzz-07"])


@after(8)
async def _(seen: Seen) -> None:
    await seen.until(lambda: seen.needing == ["fuzz-07"])


@after(9)
async def _(seen: Seen) -> None:
    screen = cast("object", seen.app.screen)
    assert isinstance(screen, FailuresScreen)
    assert len(screen.rows.keys) == 1
    row = screen.rows.render_line(1).text
    for text in ("49m", "web-1", "○ exit 2", "lock timeout", "./migrate"):
        assert text in row


# in logs


@after(10)
async def _(seen: Seen) -> None:
    assert isinstance(seen.log, MergedPane)
    await seen.until(lambda: len(seen.lines) > 20 and all("refused" in line for line in seen.lines))
    await seen.until(lambda: "22:12:10" in seen.drawn[-1])
    assert "web-2" in seen.drawn[-1]
    assert all("api-1" in line for line in seen.drawn[:-1])


@after(11)
async def _(seen: Seen) -> None:
    await seen.until(lambda: "/60" in seen.title)


@after(12)
async def _(seen: Seen) -> None:
    await seen.until(lambda: seen.log.view.found == 1)
    await seen.until(lambda: "22:12:00" in seen.drawn[1])
    assert "slow: 1300 ms" in seen.drawn[1]


@after(13)
async def _(seen: Seen) -> None:
    assert isinstance(seen.log, MergedPane)
    await seen.until(lambda: {line.split()[0] for line in seen.lines} == {"web-1", "web-2", "web-3"})


# what they do


@after(14)
async def _(seen: Seen) -> None:
    assert "./serve" in seen.row("web-2")
    assert "GET /cart 200" in seen.row("web-2")


@after(15)
async def _(seen: Seen) -> None:
    assert "builder" in seen.rows[0]
    assert "96%" in seen.rows[0]


@after(16)
async def _(seen: Seen) -> None:
    assert isinstance(seen.app.screen, SandboxPage)
    processes = seen.app.screen.query_one("#processes", TextBox)
    await seen.until(lambda: "spin.py" in processes.text)
    first = processes.text.splitlines()[1]
    assert "98.0" in first
    assert "spin.py" in first


# terminals


@after(17)
async def _(seen: Seen) -> None:
    await seen.until(lambda: bytes(seen.core.session("14").typed) == b"y\r")


@after(18)
async def _(seen: Seen) -> None:
    await seen.until(lambda: "release 1.4 now?" in seen.detail)
    assert all(request.get("input") is not True for request in seen.core.asked("session.follow"))


@after(19)
async def _(seen: Seen) -> None:
    await seen.until(lambda: seen.screen_shows("review $"))


@after(20)
async def _(seen: Seen) -> None:
    await seen.until(lambda: "cycle 7 done" in seen.detail)
    assert "15m ago" in seen.detail
    assert "silent for" in seen.row("fuzz-07")


# in many


@after(21)
async def _(seen: Seen) -> None:
    await seen.until(lambda: len(seen.ran("uname -r")) == 11)
    for name, key in seen.ran("uname -r").items():
        seen.end(key, b"6.1.0-31\n" if name == "web-2" else b"6.1.0-32\n")
    await seen.until(lambda: len(seen.result) == 2)
    assert " 10 " in seen.result[0]
    assert "+6.1.0-31" in seen.result[1]
    assert "web-2" in seen.result[1]


async def checked(seen: Seen) -> dict[str, str]:
    """Run ``./check`` in the three of ``web``, which fails in ``web-2``; the session of each."""
    await seen.press("/", *"web", "enter", "*", "x", *"./check", "enter")
    await seen.until(lambda: len(seen.ran("./check")) == 3)
    sessions = seen.ran("./check")
    seen.end(sessions["web-2"], b"no route\n", 1)
    await seen.until(lambda: any("exit 1" in row for row in seen.result))
    return sessions


@through(22)
async def _(seen: Seen, words: Words) -> None:
    first = await checked(seen)
    for name in ("web-1", "web-3"):
        seen.end(first[name], b"fine\n")
    await seen.until(lambda: any("exit 0" in row for row in seen.result))
    await seen.press(*words[0])
    await seen.until(lambda: seen.ran("./check")["web-2"] != first["web-2"])
    assert len(seen.core.asked("session.exec")) == 4
    seen.end(seen.ran("./check")["web-2"], b"fine\n")
    await seen.until(lambda: len(seen.result) == 1 and " 3 " in seen.result[0])


@through(23)
async def _(seen: Seen, words: Words) -> None:
    first = await checked(seen)
    await seen.press(*words[0])
    await seen.until(lambda: len(seen.core.asked("session.signal")) == 2)
    asked = seen.core.asked("session.signal")
    assert {request["session"] for request in asked} == {first["web-1"], first["web-3"]}


@after(24)
async def _(seen: Seen) -> None:
    await seen.until(lambda: not any(name.startswith("old-") for name in seen.core.sandboxes))
    assert len(seen.core.sandboxes) == 12


@after(25)
async def _(seen: Seen) -> None:
    await seen.until(lambda: len(seen.core.asked("session.signal")) == 1)
    assert seen.core.asked("session.signal")[0]["session"] == seen.core.session("23").id
