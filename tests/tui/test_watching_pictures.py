"""Pictures of the list of running terminals, of a sandbox's page and of merged logs, at four sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandtop.tui.widgets.merged_pane import MergedPane
from sandtop.tui.widgets.text_box import TextBox

from . import scene
from .conftest import until
from .picture import picture, pressing, views

if TYPE_CHECKING:
    from tests.fakecore import FakeCore
    from textual.pilot import Pilot

    from sandtop.tui.app import Console

    from .picture import Compare, Steps


async def page(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await pilot.press("S", "n", "g", "d")
    await until(pilot, lambda: "ready" in console.screen.query_one("#console", TextBox).text)
    await until(pilot, lambda: "worker" in console.screen.query_one("#processes", TextBox).text)


async def box(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await page(console, pilot, core)
    await pilot.press("tab", "tab", "tab", "z")


async def merged(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    core.emit("b4", b"\x1b[32m   Compiling\x1b[0m sandtop v0.1.0\n")
    core.emit("b4", b"warning: unused variable\n", stream=2)
    core.emit("d5", b"collected 10 items\n")
    await pilot.press("S", "n", "g", "space", "space", "space", "l")
    await until(pilot, lambda: console.nav.open_panes == 1 and console.nav.panes.takes_keys)
    pane = console.nav.panes.current
    assert isinstance(pane, MergedPane)
    await until(
        pilot, lambda: "unused" in pane.view.text_shown and len(pane.view.text_shown.splitlines()) > 10
    )


async def searched(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await merged(console, pilot, core)
    await pilot.press("slash", *"there", "enter")
    pane = console.nav.panes.current
    assert isinstance(pane, MergedPane)
    await until(
        pilot, lambda: any("/" in text and "there" in text and "23" in text for text, _ in pane.badges())
    )


WATCHING: dict[str, Steps] = {
    "terminals": pressing("A"), "page": page, "box": box, "merged": merged, "searched": searched,
}  # fmt: skip


@pytest.mark.parametrize(("state", "size", "theme"), views(WATCHING))
def test_watching(snap_compare: Compare, state: str, size: str, theme: str) -> None:
    assert picture(snap_compare, size, theme, WATCHING[state], scene.page(scene.core()))
