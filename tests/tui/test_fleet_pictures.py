"""Pictures of the list, at 80×24 and 200×50, dark and light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore

from .conftest import until
from .picture import picture, pressing, views

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from sandtop.tui.app import Console

    from .picture import Compare, Steps

pytestmark = pytest.mark.slow


async def stale(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    core.refusals["sandbox.start"] = {
        "code": "machine",
        "message": "QEMU ended at once: no memory",
        "hint": "free some",
    }
    await pilot.press("b")
    await until(pilot, lambda: console.notices.current(NOW) is not None)
    core.silent = True
    console.clock = lambda: NOW + 75
    console.nav.fleet.tick()


async def removing(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await pilot.press("S", "n", "g", "space", "space")
    await until(
        pilot, lambda: console.watching.idle
    )  # the list behind the question shows what it has by then
    await pilot.press("ctrl+d")


async def hostile(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    core.change(
        lambda: core.of("old-db").update(name="[red]x\x1b[2J\u202e" + "Z" * 300, labels={"[b]": "\n\x07"})
    )
    core.change(lambda: core.of("crawler").update(reason="\x1b]0;pwn\x07[/]" + "界" * 300))
    await until(pilot, lambda: console.store.view.sandboxes[6].name.startswith("[red]"))


async def hostile_screen(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    junk = (
        b"\x1b]0;\x1b[2Jpwn\x07\x1b[41m"
        + "界‮x".encode() * 90
        + b"\x1b[1;1H\x1b[5m[red]not markup[/]\x1b[0m\xff\xfe"
    )
    core.emit("c3", junk)
    await on(console, core, "review-318")


async def alert(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    raised = {
        "name": "disk full", "text": "cp: No space left on device", "at": NOW - 90, "session": "97" * 8,
        "notify": "bell", "acknowledged": False,
    }  # fmt: skip
    core.change(lambda: core.of("fuzz-07").update(alerts=[raised]))
    await on(console, core, "fuzz-07")
    await until(pilot, lambda: any("disk full" in each.need.text for each in console.store.view.troubled))


async def on(console: Console, core: FakeCore, name: str) -> None:
    console.nav.fleet.select(str(core.of(name)["uuid"]))


def with_cursor_on(name: str) -> Steps:
    async def steps(console: Console, _pilot: Pilot[None], core: FakeCore) -> None:
        await on(console, core, name)

    return steps


FLEET: dict[str, Steps] = {
    "busy": pressing(),
    "a-log": with_cursor_on("api-1"),
    "a-screen": with_cursor_on("review-318"),
    "asking": with_cursor_on("api-2"),
    "hostile-screen": hostile_screen,
    "filtered": pressing("slash", *"label:team=core"),
    "marked": pressing("S", "n", "g", "space", "space"),
    "alert": alert,
    "stale": stale,
    "removing": removing,
    "hostile": hostile,
}


@pytest.mark.parametrize(("state", "size", "theme"), views(FLEET))
def test_fleet(snap_compare: Compare, state: str, size: str, theme: str) -> None:
    assert picture(snap_compare, size, theme, FLEET[state])


@pytest.mark.parametrize(("state", "size", "theme"), views(["empty", "form"]))
def test_first_start(snap_compare: Compare, state: str, size: str, theme: str) -> None:
    keys = {"empty": (), "form": ("c",)}[state]
    assert picture(snap_compare, size, theme, pressing(*keys), FakeCore())
