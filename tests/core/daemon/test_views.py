"""Lists that are too long for one answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandtop.agent.wire import Control, encode
from sandtop.core.contract.record import Record, plain
from sandtop.core.daemon.views import page


class Item(Record):
    """Of a list."""

    id: str
    pad: str


@given(st.lists(st.integers(0, 400_000), max_size=30))
def test_the_pages_of_a_list_are_the_whole_list(sizes: list[int]) -> None:
    items = list(enumerate(sizes))

    def view(item: tuple[int, int]) -> Item:
        return Item(id=f"n{item[0]}", pad="x" * item[1])

    whole: list[Item] = []
    before: object = None
    while True:
        found, more = page(items, view, "id", before)
        encode(Control({"type": "result", "sessions": plain(found), "more": more}))  # it fits a frame
        whole = found + whole
        if not more:
            break
        assert found
        before = found[0].id
    assert whole == [view(item) for item in items]
