"""A sandbox's own page: what it reads of the core, and what it shows of that at which size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW

from sandtop.core.contract.net import Egress
from sandtop.tui.screens.pages import Page
from sandtop.tui.screens.sandbox_page import SandboxPage
from sandtop.tui.widgets.text_box import TextBox
from sandtop.tui.widgets.usage_panel import UsagePanel

from . import scene
from .conftest import notice, running, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from sandtop.tui.app import Console

pytestmark = pytest.mark.anyio


async def opened(app: Console, pilot: Pilot[None]) -> None:
    await pilot.press("S", "n", "g", "d")
    assert isinstance(app.screen, SandboxPage)
    await until(pilot, lambda: "worker" in text(app, "processes") and "virtio" in text(app, "console"))


def text(app: Console, name: str) -> str:
    return app.screen.query_one(f"#{name}", TextBox).text


def visible(app: Console) -> list[str]:
    return [str(box.id) for box in app.screen.query(TextBox) if box.display]


async def test_all_that_is_known_of_a_sandbox() -> None:
    with scene.page(scene.core()):
        async with running(size=(200, 50)) as (app, pilot):
            await opened(app, pilot)
            await until(pilot, lambda: "480M of 512M" in app.screen.query_one(UsagePanel).text)
            panel = app.screen.query_one(UsagePanel).text
            assert "93% of 100%" in panel
            assert "40M of 1.0G" in panel
            assert "▇" in panel
            assert "88.4" in text(app, "processes")
            assert "memory-high 94 % of 512 MiB" in text(app, "events")
            assert "sandtop-agent: ready" in text(app, "console")
            assert "exit 0" in text(app, "exits")
            assert "network" in text(app, "facts")
            assert visible(app) == ["processes", "exits", "events", "console", "facts"]


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_what_one_with_an_allow_list_reached(size: tuple[int, int]) -> None:
    with scene.page(scene.core()) as fake:
        fake.of("api-1").update(network="filtered", allow=["git.example.org:443"])
        fake.egress["api-1"] = [
            Egress(
                id=1,
                secrets=["TOKEN"],
                at=NOW - 300,
                host="git.example.org",
                port=443,
                address="192.0.2.7",
                sent=2048,
                received=5 << 20,
            ),
            Egress(
                id=2,
                secrets=[],
                at=NOW - 20,
                host="evil\x1b]0;x\x07.test",
                allowed=False,
                reason="no rule allows it",
                times=3,
                ended_at=NOW - 20,
            ),
            Egress(
                id=3,
                secrets=[],
                at=NOW - 9,
                host="b.test",
                port=443,
                reason="Connection refused",
                ended_at=NOW - 9,
            ),
        ]
        async with running(size=size) as (app, pilot):
            await opened(app, pilot)
            await until(pilot, lambda: "git.example.org:443" in text(app, "connections"))
            head, failed, refused, carried = text(app, "connections").splitlines()
            assert head.split() == ["AGO", "OUT", "IN", "HOST"]
            assert refused.split()[:3] == ["20s", "0", "0"]
            assert failed.endswith("b.test:443  failed: Connection refused")
            assert "\x1b" not in refused
            assert refused.endswith(".test 3×  refused: no rule allows it")
            assert carried.split() == [
                "5m",
                "2.0K",
                "5.0M",
                "git.example.org:443",
                "with",
                "TOKEN",
                "192.0.2.7",
            ]
            if "connections" not in visible(app):
                await pilot.press("tab", "tab")
            await until(pilot, lambda: "connections" in visible(app))
            box = app.screen.query_one("#connections", TextBox)
            assert "3 refused" in box.render_line(0).text


async def test_on_a_small_screen_one_box_at_a_time() -> None:
    with scene.page(scene.core()):
        async with running(size=(80, 24)) as (app, pilot):
            await opened(app, pilot)
            assert visible(app) == ["processes"]
            await pilot.press("tab", "tab")
            assert visible(app) == ["events"]
            await pilot.press("shift+tab", "shift+tab", "shift+tab")
            assert visible(app) == ["facts"]
            await pilot.press("shift+tab")
            box = app.screen.query_one("#console", TextBox)
            assert "ready" in "".join(box.render_line(y).text for y in range(box.size.height))
            await pilot.press("g")
            assert "ready" not in "".join(box.render_line(y).text for y in range(box.size.height))
            await pilot.press("y")
            assert "ready" in app.clipboard
            assert "copied console" in notice(app)
            await pilot.press("q")
            assert app.screen is app.nav.fleet


async def test_a_click_on_the_name_of_a_box_shows_it() -> None:
    with scene.page(scene.core()):
        async with running(size=(80, 24)) as (app, pilot):
            await opened(app, pilot)
            panel = app.screen.query_one(UsagePanel)
            line = panel.render_line(panel.size.height - 1).text
            assert line.startswith("[processes]  exits  events  console  facts ")
            for name in ("console", "facts", "processes"):
                line = panel.render_line(panel.size.height - 1).text
                await pilot.click(panel, offset=(1 + line.index(name), panel.size.height - 1))
                assert visible(app) == [name]


async def test_one_box_over_the_whole_screen() -> None:
    with scene.page(scene.core()):
        async with running(size=(200, 50)) as (app, pilot):
            await opened(app, pilot)
            await pilot.press("z")
            assert visible(app) == ["processes"]
            await pilot.press("z")
            assert len(visible(app)) == 5


async def test_what_cannot_be_read_says_why() -> None:
    with scene.page(scene.core()) as core:
        core.refusals["sandbox.top"] = {"code": "channel", "message": "its agent does not answer"}
        async with running(size=(200, 50)) as (app, pilot):
            await pilot.press("S", "n", "g", "d")
            await until(pilot, lambda: "its agent does not answer" in text(app, "processes"))
            await until(pilot, lambda: "virtio" in text(app, "console"))


async def test_one_that_does_not_run_and_one_that_goes() -> None:
    with scene.page(scene.core()) as core:
        async with running(
            size=(200, 50),
        ) as (app, pilot):
            await pilot.press("S", "n", "G", "k", "k", "d")
            await until(pilot, lambda: "it does not run" in text(app, "processes"))
            assert "pg_dump" in text(app, "exits")
            core.change(lambda: core.sandboxes.pop("old-db"))
            await until(pilot, lambda: "It is gone" in app.screen.query_one(UsagePanel).text)
            await pilot.press("escape")
            assert app.screen is app.nav.fleet


async def test_it_is_there_as_json_too() -> None:
    with scene.page(scene.core()):
        async with running(size=(80, 24)) as (app, pilot):
            await opened(app, pilot)
            await pilot.press("J")
            await until(pilot, lambda: isinstance(app.screen, Page))
            assert isinstance(app.screen, Page)
            assert '"uuid"' in app.screen.text
