"""Taking a picture of the console at a scene. Look at each picture that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore
from textual.widgets import Input

from sandtop.tui.app import Console
from sandtop.tui.store import Store

from . import scene
from .conftest import LOOK_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from _pytest.mark.structures import ParameterSet
    from textual.pilot import Pilot

    from sandtop.core.paths import Paths
    from sandtop.tui.theme import ThemeName

    Compare = Callable[..., bool]
    Steps = Callable[[Console, Pilot[None], FakeCore], Awaitable[None]]

SIZES = {"60x20": (60, 20), "80x24": (80, 24), "120x40": (120, 40), "200x50": (200, 50)}
THEMES: dict[str, ThemeName] = {"dark": "dark", "light": "light", "16": "terminal"}
"""The last leaves the sixteen colours to the terminal; a picture has Rich's own."""
BOTH = (("80x24", "dark"), ("200x50", "light"))
MORE = (*BOTH, ("80x24", "16"), ("200x50", "dark"))
FOUR = (("80x24", "dark"), ("60x20", "16"), ("120x40", "light"), ("120x40", "16"), ("200x50", "dark"))


EACH_SIZE = {
    "a-log", "a-screen", "alert", "asking", "box", "custom", "failure", "failures", "group", "marked", "merged", "page",
    "options", "result", "settings", "terminals",
}  # fmt: skip
"""States that look different at each of four sizes: all colours are at one of them at least."""
MAIN = {"busy", "empty", "form", "sessions", "split"}
"""States that are seen most; of the others two views show enough."""


def views(states: Iterable[str]) -> list[ParameterSet]:
    """Each state with the sizes and themes that it is seen in. The quick tests look at the first of them."""
    return [
        pytest.param(state, size, theme, marks=[] if (size, theme) == BOTH[0] else pytest.mark.slow)
        for state in states
        for size, theme in (FOUR if state in EACH_SIZE else MORE if state in MAIN else BOTH)
    ]


def picture(
    compare: Compare,
    size: str,
    theme: str,
    steps: Steps,
    core: FakeCore | None = None,
    *,
    paths: Paths | None = None,
) -> bool:
    """Compare the console after ``steps`` with its picture; with ``paths`` it has the settings that are there."""
    fake = core or scene.core()
    console = Console(Store(), clock=lambda: NOW, interval=LOOK_SECONDS, paths=paths)

    async def before(pilot: Pilot[None]) -> None:
        console.use_theme(THEMES[theme])
        await until(
            pilot, lambda: console.store.view.version > 0 and console.store.view.host.stats is not None
        )
        await steps(console, pilot, fake)
        await until(pilot, lambda: console.watching.idle)
        for field in console.screen.query(Input):
            field.cursor_blink = False
        await pilot.pause()

    with fake:
        return compare(console, terminal_size=SIZES[size], run_before=before)


def pressing(*keys: str) -> Steps:
    async def steps(_console: Console, pilot: Pilot[None], _core: FakeCore) -> None:
        await pilot.press(*keys)

    return steps


async def open_api(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    console.nav.show_sandbox(str(core.of("api-1")["uuid"]))
    await pilot.pause()
