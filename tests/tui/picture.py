"""Taking a picture of the console at a scene. Look at each picture that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore
from textual.widgets import Input

from sandtop.tui.app import Console
from sandtop.tui.store import Store
from sandtop.tui.theme import DARK, LIGHT

from . import scene
from .conftest import LOOK_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from _pytest.mark.structures import ParameterSet
    from textual.pilot import Pilot

    Compare = Callable[..., bool]
    Steps = Callable[[Console, Pilot[None], FakeCore], Awaitable[None]]

SIZES = {"60x20": (60, 20), "80x24": (80, 24), "120x40": (120, 40), "200x50": (200, 50)}
THEMES = {"dark": DARK.theme.name, "light": LIGHT.theme.name}
BOTH = (("80x24", "dark"), ("200x50", "light"))
ALL = (*BOTH, ("80x24", "light"), ("200x50", "dark"))
FOUR = (("80x24", "dark"), ("60x20", "dark"), ("120x40", "light"), ("200x50", "dark"))


NARROW_AND_WIDE = {
    "a-log", "a-screen", "asking", "failures", "merged", "page", "result", "terminals",
}  # fmt: skip
"""States that look different at each of four sizes."""
MAIN = {"busy", "empty", "sessions", "split"}
"""States that are seen most; of the others two views show enough."""


def views(states: Iterable[str]) -> list[ParameterSet]:
    """Each state with the sizes and themes that it is seen in. The quick tests look at the first of them."""
    return [
        pytest.param(state, size, theme, marks=[] if (size, theme) == ALL[0] else pytest.mark.slow)
        for state in states
        for size, theme in (FOUR if state in NARROW_AND_WIDE else ALL if state in MAIN else BOTH)
    ]


def picture(compare: Compare, size: str, theme: str, steps: Steps, core: FakeCore | None = None) -> bool:
    """Compare the console after ``steps`` with its picture."""
    fake = core or scene.core()
    console = Console(Store(), clock=lambda: NOW, interval=LOOK_SECONDS)

    async def before(pilot: Pilot[None]) -> None:
        console.theme = THEMES[theme]
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
