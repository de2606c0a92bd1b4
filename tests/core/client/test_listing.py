"""A list that is too long for one answer; and one that is looked at again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.client.link.listing import session_listing
from sandtop.core.client.sdk import Overview
from sandtop.core.contract.session_results import SessionInfo, SessionPage
from sandtop.core.daemon.views import page

if TYPE_CHECKING:
    from tests.fakecore import FakeCore


def item(key: str, pad: int) -> SessionInfo:
    return SessionInfo(id=key, sandbox="demo", argv=["x" * pad], tty=False, state="exited", labels={})


@given(st.lists(st.integers(0, 400_000), max_size=12))
def test_all_pages_make_the_list(sizes: list[int]) -> None:
    sessions = [(f"s{number}", size) for number, size in enumerate(sizes)]
    listing, answers = session_listing("demo"), 0
    while True:
        before = listing.request.message()["before"]
        found, more = page(sessions, lambda one: item(*one), "id", before)
        answers += 1
        if not listing.take(SessionPage(sessions=found, more=more)):
            break
    assert [one.id for one in listing.items] == [name for name, _ in sessions]
    assert listing.request.message()["sandbox"] == "demo"
    assert answers <= len(sessions) + 1


@pytest.mark.anyio
async def test_what_did_not_change_is_the_same_object(fake: FakeCore) -> None:
    overview = Overview()
    ((first,), _), ((again,), _) = await overview.look(), await overview.look()
    assert (first.name, again is first) == ("demo", True)
    fake.sandboxes["demo"]["state"] = "paused"
    ((changed,), _) = await overview.look()
    assert (changed.state, first.state) == ("paused", "running")
