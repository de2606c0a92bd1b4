"""How panes share the room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandtop.tui.tiles import Box, Tree, boxes, even, insert, leaves, neighbour, remove, resized

ROOM = Box(0, 0, 80, 22)


def built(steps: list[tuple[int, bool]]) -> Tree:
    tree = insert(None, "", "0", stacked=False)
    for number, (beside, stacked) in enumerate(steps, 1):
        order = leaves(tree)
        tree = insert(tree, order[beside % len(order)], str(number), stacked=stacked)
    return tree


trees = st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=6).map(built)


@given(trees)
def test_panes_cover_the_room_and_do_not_overlap(tree: Tree) -> None:
    places = boxes(tree, ROOM)
    cells = [
        (x, y) for b in places.values() for x in range(b.x, b.x + b.width) for y in range(b.y, b.y + b.height)
    ]
    assert len(cells) == len(set(cells)) == ROOM.width * ROOM.height
    assert set(places) == set(leaves(tree))


@given(trees)
def test_closing_gives_the_room_back(tree: Tree) -> None:
    left: Tree | None = tree
    for key in leaves(tree):
        left = remove(left, key)
        assert key not in leaves(left)
        assert sum(b.width * b.height for b in boxes(left, ROOM).values()) in (0, 80 * 22)
    assert left is None


@given(trees, st.integers(-30, 30))
def test_a_resized_pane_keeps_all_others(tree: Tree, steps: int) -> None:
    key = leaves(tree)[0]
    changed = resized(tree, key, steps)
    assert leaves(changed) == leaves(tree)
    before, after = boxes(tree, ROOM)[key], boxes(changed, ROOM)[key]
    grown = after.width * after.height - before.width * before.height
    assert grown * steps >= 0


def test_even_and_neighbours() -> None:
    tree = insert(
        insert(insert(None, "", "a", stacked=False), "a", "b", stacked=False), "b", "c", stacked=False
    )
    widths = [box.width for box in boxes(even(tree), Box(0, 0, 90, 20)).values()]
    assert widths == [30, 30, 30]
    tree = insert(
        insert(insert(None, "", "a", stacked=False), "a", "b", stacked=False), "b", "c", stacked=True
    )
    places = boxes(tree, ROOM)
    assert neighbour(places, "a", "right") in ("b", "c")
    assert neighbour(places, "c", "up") == "b"
    assert neighbour(places, "c", "left") == "a"
    assert neighbour(places, "a", "left") is None
