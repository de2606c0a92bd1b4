"""A key that does nothing here says where it does something."""

from __future__ import annotations

import pytest
from tests.fakecore import FakeCore, sandbox

from sandtop.tui.actions import ACTIONS, elsewhere, scopes_at

from .conftest import notice, running

pytestmark = pytest.mark.anyio


async def test_it_is_said_where_a_key_does_something() -> None:
    with FakeCore(sandbox("web")):
        async with running() as (app, pilot):
            await pilot.press("z")
            assert notice(app).startswith("z does nothing here. ")
            assert "zoom" in notice(app) or "whole screen" in notice(app)
            await pilot.press("percent_sign")
            assert notice(app).startswith("z ")  # nobody has that one


async def test_the_list_is_sorted_by_a_letter() -> None:
    with FakeCore(sandbox("web"), sandbox("ape")):
        async with running() as (app, pilot):
            await pilot.press("S", "n")
            assert app.nav.fleet.order == ("name", False)
            await pilot.press("S", "d")  # it is underlined in "command"
            assert app.nav.fleet.order == ("command", False)
            await pilot.press("S", "escape")
            assert app.nav.fleet.order == ("command", False)


def test_only_what_does_nothing_here_is_said() -> None:
    assert elsewhere("x", scopes_at("fleet")) is None
    assert elsewhere("z", scopes_at("fleet")) is not None
    assert (
        elsewhere("f12", scopes_at("fleet")) is None
    )  # a letter or a sign was meant; this may be for another program
    assert elsewhere("no_such_key", scopes_at("fleet")) is None
    assert {action.scope for action in ACTIONS} >= {"live", "nobody"}
    assert elsewhere("question_mark", scopes_at("panes")) is None
