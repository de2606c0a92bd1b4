"""The rule of the reserve: who is stopped, when it is looked at again, and whether another sandbox has room."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.errors import StorageError
from sandtop.core.fleet.room import (
    FIRST_WRITES,
    Growth,
    Space,
    check_new,
    may_grow,
    space,
    until_next_look,
    used,
)

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30


def room(free: int, reserve: int = 512 * MIB) -> Space:
    return Space(free, 100 * GIB, reserve)


def test_the_reserve_is_no_more_than_a_part_of_a_small_disk(tmp_path: Path) -> None:
    facts = os.statvfs(tmp_path)
    total = facts.f_blocks * facts.f_frsize
    assert space(tmp_path, 1).reserve == 1
    assert space(tmp_path, 1 << 62).reserve == total // 20
    assert space(tmp_path, 0).short is False
    with pytest.raises(OSError, match="No such file"):
        space(tmp_path / "nowhere", 1)


def test_nobody_is_stopped_while_there_is_more_than_the_reserve() -> None:
    growth = Growth()
    for step in range(5):
        assert growth.greedy(room(GIB), {"a": step * GIB, "b": 0}) == []


def test_below_the_reserve_those_that_grow_are_stopped_and_no_others() -> None:
    growth = Growth()
    growth.greedy(room(600 * MIB), {"greedy": 100 * MIB, "modest": 100 * MIB, "quiet": 7 * GIB})
    now = {"greedy": 200 * MIB, "modest": 100 * MIB + 65536, "quiet": 7 * GIB}
    assert growth.greedy(room(500 * MIB), now) == ["greedy"]  # it grew before anybody looked
    assert growth.greedy(room(499 * MIB), {**now, "modest": 101 * MIB}) == ["greedy"]
    # next to nothing, again and again, is not nothing
    assert growth.greedy(room(498 * MIB), {"modest": 109 * MIB, "quiet": 7 * GIB}) == ["modest"]
    # with room again all begin anew
    assert growth.greedy(room(GIB), {"greedy": 200 * MIB, "modest": 109 * MIB}) == []
    assert growth.greedy(room(500 * MIB), {"greedy": 200 * MIB, "modest": 109 * MIB}) == []


def test_a_core_that_comes_while_there_is_no_room_stops_who_grows_from_then_on() -> None:
    growth = Growth()
    assert growth.greedy(room(MIB), {"a": GIB, "b": GIB}) == []
    assert growth.greedy(room(MIB), {"a": 2 * GIB, "b": GIB}) == ["a"]


def test_without_a_reserve_nobody_is_stopped() -> None:
    growth = Growth()
    growth.greedy(room(MIB, 0), {"a": 0})
    assert growth.greedy(room(0, 0), {"a": GIB}) == []


@given(st.integers(0, 1 << 50), st.integers(0, 512 * MIB))
def test_the_nearer_the_reserve_the_sooner_it_is_looked_at(free: int, reserve: int) -> None:
    now = room(free, reserve)
    assert 0.05 <= until_next_look(now) <= 2
    assert until_next_look(now) <= until_next_look(room(free + GIB, reserve))
    # at a GiB a second no more than what the least wait lets through is lost of the reserve
    assert max(free - until_next_look(now) * GIB, 0) >= min(reserve, free) - 0.05 * GIB - 1
    assert not (now.short and now.enough)


def test_what_disks_take_and_may_take(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(100 * MIB)
        file.write(bytes(range(256)) * 4096)
    taken = disk.stat().st_blocks * 512
    assert MIB <= taken < 2 * MIB
    assert used({"there": disk, "gone": tmp_path / "gone"}) == {"there": taken}
    assert may_grow([disk, disk, tmp_path / "gone"]) == 2 * (100 * MIB - taken)


def test_a_sandbox_more() -> None:
    reserve = 512 * MIB
    assert check_new(room(100 * GIB), 0, 8 * GIB, "box") is None
    assert check_new(room(100 * GIB), 80 * GIB, 8 * GIB, "box") is None
    word = check_new(room(100 * GIB), 95 * GIB, 8 * GIB, "box")
    assert word is not None
    assert "103 GiB more, 100 GiB are there" in word  # rounded
    # it was said when the one before was made
    assert check_new(room(100 * GIB), 103 * GIB, 8 * GIB, "box") is None
    assert check_new(room(reserve + FIRST_WRITES), 1 << 50, 8 * GIB, "box") is None
    with pytest.raises(
        StorageError, match=r"cannot create box: 543 MiB are free .* 544 MiB are needed"
    ) as caught:
        check_new(room(reserve + FIRST_WRITES - MIB), 0, 16 * MIB, "box")
    assert caught.value.sandbox == "box"
    assert caught.value.hint is not None
