"""A list that is too long for one answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.client.link.answers import Listing
from sandtop.core.contract.record import Record, plain
from sandtop.core.daemon.views import page


class Item(Record):
    """Of a list."""

    id: str
    pad: str


@given(st.lists(st.integers(0, 400_000), max_size=12))
def test_all_pages_make_the_list(sizes: list[int]) -> None:
    sessions = [(f"s{number}", size) for number, size in enumerate(sizes)]
    listing, answers = Listing("session.list", {"sandbox": "demo"}), 0
    while True:
        before = listing.fields.get("before")
        found, more = page(sessions, lambda item: Item(id=item[0], pad="x" * item[1]), "id", before)
        answers += 1
        if not listing.take({"sessions": plain(found), "more": more}):
            break
    assert [item["id"] for item in listing.items] == [name for name, _ in sessions]
    assert listing.fields["sandbox"] == "demo"
    assert answers <= len(sessions) + 1
