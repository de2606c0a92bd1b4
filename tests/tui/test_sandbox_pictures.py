"""Pictures of a sandbox's sessions, at 80×24 and 200×50, dark and light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .picture import open_api, picture, views

if TYPE_CHECKING:
    from tests.fakecore import FakeCore
    from textual.pilot import Pilot

    from sandtop.tui.app import Console

    from .picture import Compare


async def signal(console: Console, pilot: Pilot[None], core: FakeCore) -> None:
    await open_api(console, pilot, core)
    await pilot.press("ctrl+k")


@pytest.mark.parametrize(("state", "size", "theme"), views(["sessions", "signal"]))
def test_sandbox(snap_compare: Compare, state: str, size: str, theme: str) -> None:
    assert picture(snap_compare, size, theme, {"sessions": open_api, "signal": signal}[state])
