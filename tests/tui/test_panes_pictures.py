"""Pictures of the panes, at 80×24 and 200×50, dark and light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.row_list import RowList
from sandtop.tui.widgets.terminal_pane import TerminalPane

from .conftest import until
from .picture import open_api, picture, views

if TYPE_CHECKING:
    from tests.fakecore import FakeCore
    from textual.pilot import Pilot

    from sandtop.tui.app import Console

    from .picture import Compare, Steps

pytestmark = pytest.mark.slow


async def one_log(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await open_api(console, pilot, core)
    rows = console.screen.query_one("RowList")
    await pilot.press("g")
    for _ in range(4):
        if console.screen.cursor.command.startswith("./serve"):  # type: ignore[attr-defined]  # pyright: ignore
            break
        await pilot.press("j")
    assert rows.is_attached
    await pilot.press("enter")
    lines = sum(data.count(b"\n") for _, _, data in core.session("a1").pieces)
    await until(pilot, lambda: _log(console).ready and _log(console).view.ring.total == lines)
    await until(pilot, lambda: _log(console).view.last_shown == lines - 1)


def _log(console: Console) -> LogPane:
    pane = console.nav.panes.current
    assert isinstance(pane, LogPane)
    return pane


async def searching(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await one_log(console, pilot, core)
    await pilot.press("t", "slash", *"things/3[0-9]7", "enter")
    await until(pilot, lambda: _log(console).view.found is not None)
    core.emit("a1", b"one more\n" * 12)
    await until(pilot, lambda: _log(console).view.unseen == 12)
    await until(pilot, lambda: any("10/10" in text for text, _ in _log(console).badges()))


async def filtering(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await one_log(console, pilot, core)
    await pilot.press(
        "ampersand", *"error|trace", "enter", "exclamation_mark", *"line", "enter", "exclamation_mark"
    )


async def split(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await one_log(console, pilot, core)
    await pilot.press("q", "escape")
    await shell(console, pilot, core)
    await pilot.press("f12", "shift+tab", "2")


async def shell(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    console.nav.show_sandbox(str(core.of("review-318")["uuid"]))
    await pilot.pause()
    console.screen.query_one(RowList).select(str(core.session("c3").raw["id"]))
    await pilot.press("a")
    await until(
        pilot,
        lambda: isinstance(console.nav.panes.current, TerminalPane) and console.nav.panes.current.ready,
    )
    pane = console.nav.panes.current
    assert isinstance(pane, TerminalPane)
    await until(pilot, lambda: "9 passed" in pane.terminal.emulator.text() and pane.terminal.holds_input)
    await until(pilot, lambda: "9 passed" in "".join(pane.terminal.render_line(y).text for y in range(8)))


async def nobody(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await shell(console, pilot, core)
    core.end("c3")
    pane = console.nav.panes.current
    assert isinstance(pane, TerminalPane)
    await until(pilot, lambda: pane.has_ended and not pane.terminal.reads_keys)


async def unheard(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await nobody(console, pilot, core)
    await pilot.press(*"sleep 5")
    await until(pilot, lambda: console.notices.current(console.clock()) is not None)


PANES: dict[str, Steps] = {
    "log": one_log, "searching": searching, "filtering": filtering, "split": split, "terminal": shell,
    "nobody": nobody, "unheard": unheard,
}  # fmt: skip


@pytest.mark.parametrize(("state", "size", "theme"), views(PANES))
def test_panes(snap_compare: Compare, state: str, size: str, theme: str) -> None:
    assert picture(snap_compare, size, theme, PANES[state])
