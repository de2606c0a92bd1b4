"""The console on a fake core: at a clock that stands still, with the core's socket in the test's own place."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from pytest_textual_snapshot import SVGImageExtension  # pyright: ignore[reportMissingTypeStubs]
from tests.fakecore import NOW
from textual._wait import wait_for_idle
from textual.css.stylesheet import Stylesheet

from sandtop.core.client.link import launching
from sandtop.core.errors import CoreUnavailable
from sandtop.tui import gateway
from sandtop.tui.actions.lookup import use_keys
from sandtop.tui.app import Console
from sandtop.tui.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

    from syrupy.location import PyTestLocation
    from textual.css.model import RuleSet
    from textual.css.types import CSSLocation
    from textual.pilot import Pilot

    from sandtop.core.client.sdk import SandboxInfo, SessionInfo
    from sandtop.core.paths import Paths

SNAPSHOTS = Path(__file__).parents[2] / "snapshots"
WAIT_SECONDS = 30.0
LOOK_SECONDS = 1000.0
"""A console that looks at the core by itself is never idle, which the pilot waits for after each key: `until` looks."""


@pytest.fixture(autouse=True)
def _own_core(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test has a home of its own, so a core of its own; a real one is never started by accident."""
    monkeypatch.setenv("SANDTOP_HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")

    def refuse() -> None:
        raise CoreUnavailable("no core runs, and this test starts none")

    monkeypatch.setattr(launching, "launch", refuse)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pilot takes the console to be idle when it has used little of a span of time; half that span tells as much.

    It waits for that twice after each key. Here the console itself says when a key is done, and the pilot waits for an
    idle console after the last.
    """
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", 0.01)
    monkeypatch.setattr("textual._wait.SLEEP_IDLE", 0.0005)

    async def no_wait(min_sleep: float = 0) -> None:
        pass

    press_key = Console._press_keys  # pyright: ignore[reportPrivateUsage]

    async def press_keys(console: Console, keys: Iterable[str]) -> None:
        for key in keys:
            before = console.priority.last_input_at
            with monkeypatch.context() as patched:
                patched.setattr("textual.app.wait_for_idle", no_wait)
                await press_key(console, [key])
            while console.priority.last_input_at == before or console.typeahead.busy:
                if not console.is_running or console._exit:  # pyright: ignore[reportPrivateUsage]
                    return
                await asyncio.sleep(0.001)
        await wait_for_idle(0)
        await wait_for_idle(0)

    monkeypatch.setattr(Console, "_press_keys", press_keys)


@pytest.fixture(autouse=True)
def _keys_of_nobody() -> Iterator[None]:
    """Keys of the operator's own are for the whole process, which a console has for itself and tests share."""
    yield
    use_keys({})


@pytest.fixture(scope="session", autouse=True)
def _style_sheets_are_parsed_once() -> Iterator[None]:
    """Each console parses all style sheets, which is an eighth of what a test costs: here the rules are kept.

    Textual itself keeps them for one app. They depend on the theme, too, whose variables are part of the key.
    """
    kept: dict[tuple[object, ...], list[RuleSet]] = {}
    parse_rules = Stylesheet._parse_rules  # pyright: ignore[reportPrivateUsage]

    def parse_once(
        sheet: Stylesheet,
        css: str,
        read_from: CSSLocation,
        is_default_rules: bool = False,
        tie_breaker: int = 0,
        scope: str = "",
    ) -> list[RuleSet]:
        source = (css, read_from, is_default_rules, tie_breaker, scope)
        key = (*source, *sorted(sheet._variables.items()))  # pyright: ignore[reportPrivateUsage]
        if key not in kept:
            kept[key] = parse_rules(sheet, *source)
        return kept[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Stylesheet, "_parse_rules", parse_once)
        yield


@pytest.fixture(autouse=True)
def _pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are in snapshots/, one folder a file of tests, which is one a screen."""

    def dirname(cls: type[SVGImageExtension], *, test_location: PyTestLocation) -> str:
        return str(SNAPSHOTS / test_location.basename)

    monkeypatch.setattr(SVGImageExtension, "dirname", classmethod(dirname))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def late_shell(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set by the test, when the shell that it opened may start."""
    begin, open_shell = asyncio.Event(), gateway.open_shell

    async def slowly(info: SandboxInfo, rows: int, columns: int) -> SessionInfo:
        await begin.wait()
        return await open_shell(info, rows, columns)

    monkeypatch.setattr(gateway, "open_shell", slowly)
    return begin


def make_console(*, clock: Callable[[], float] = lambda: NOW, paths: Paths | None = None) -> Console:
    """A console whose clock stands still; with ``paths`` it has the settings and the memory that are there."""
    return Console(Store(), clock=clock, interval=LOOK_SECONDS, paths=paths)


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds; fails after a while."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            cast("Console", pilot.app).polling.ask_now()
            await pilot.pause(0.01)
    await pilot.pause()


def _forgive_anyio() -> None:
    """anyio's UNIX streams set a future's result in a reader's callback, even one cancelled in that turn of the loop.

    The loop tells of it and goes on; anyio's test runner would fail the test.
    """
    loop = asyncio.get_running_loop()
    strict = loop.get_exception_handler()

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        if not isinstance(context.get("exception"), asyncio.InvalidStateError) and strict is not None:
            strict(loop, context)

    loop.set_exception_handler(handler)


@asynccontextmanager
async def running(
    console: Console | None = None, size: tuple[int, int] = (120, 40)
) -> AsyncGenerator[tuple[Console, Pilot[None]]]:
    """The console, once it has seen the core."""
    app = console or make_console()
    _forgive_anyio()
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.store.view.version > 0)
        yield app, pilot


def notice(app: Console) -> str:
    """What the console says now."""
    current = app.notices.current(app.clock())
    return current[0].text if current else ""
