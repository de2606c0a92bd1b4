"""An hour of values in a ring."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.fleet.watch.ring import SLOTS, Ring


def test_values_come_back_and_what_is_missing_is_none() -> None:
    ring = Ring(2)
    assert ring.get(7) == [None, None]
    ring.put(7, [1.5, None])
    ring.put(9, [2.5, 3.0])
    assert [ring.get(slot) for slot in (6, 7, 8, 9, 10)] == [
        [None, None], [1.5, None], [None, None], [2.5, 3.0], [None, None],
    ]  # fmt: skip


def test_an_hour_later_nothing_old_is_left() -> None:
    ring = Ring(1)
    ring.put(0, [1.0])
    ring.put(SLOTS - 1, [2.0])
    assert ring.get(0) == [1.0]
    ring.put(SLOTS, [3.0])
    assert ring.get(0) == [None]
    ring.put(10 * SLOTS, [4.0])
    assert [ring.get(slot) for slot in range(10 * SLOTS - 3, 10 * SLOTS + 1)] == [
        [None],
        [None],
        [None],
        [4.0],
    ]


def test_means_of_groups() -> None:
    ring = Ring(2)
    rows: list[list[float | None]] = [[1.0, None], [3.0, None], [5.0, 8.0]]
    for slot, values in enumerate(rows):
        ring.put(slot, values)
    assert ring.columns([[0, 1], [2], [3]]) == [[2.0, 5.0, None], [None, 8.0, None]]


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(1, 3 * SLOTS), st.one_of(st.none(), st.integers(0, 1 << 20))), max_size=60)
)
def test_it_is_a_dictionary_of_the_last_hour(steps: list[tuple[int, int | None]]) -> None:
    ring, known, slot = Ring(1), dict[int, float | None](), 0
    for step, value in steps:
        slot += step
        ring.put(slot, [value])
        known[slot] = value
        for each in range(max(0, slot - SLOTS + 1), slot + 2):
            assert ring.get(each) == [known.get(each)]
