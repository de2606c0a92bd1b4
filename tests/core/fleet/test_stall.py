"""What is said of a machine that its disk stopped, and when it is tried again."""

from __future__ import annotations

import pytest

from sandtop.core.errors import StorageError
from sandtop.core.fleet.room import Space
from sandtop.core.fleet.stall import Cause, Patience, Stall
from sandtop.core.machine import DiskError

MIB = 1 << 20
FULL = DiskError("No space left on device", stopped=True)
QUOTA = DiskError("Disk quota exceeded", stopped=True)
BROKEN = DiskError("Input/output error", stopped=True)
NO_ROOM, ROOM = Space(3 * MIB, 100 * MIB, 5 * MIB), Space(90 * MIB, 100 * MIB, 5 * MIB)


def test_a_machine_that_stops_again_at_once_is_tried_ever_less_often() -> None:
    patience, now, waits = Patience(), 1000.0, list[float]()
    for _ in range(7):
        stall = patience.stall(FULL, now)
        waits.append(stall.not_before - now)
        now = stall.not_before
        patience.went_on(now)
        now += 0.1
    assert waits == [1, 2, 5, 15, 60, 60, 60]
    # one that ran for a while begins anew
    assert patience.stall(FULL, now + 3600).not_before == now + 3601


def test_only_want_of_room_passes_by_itself() -> None:
    patience = Patience()
    assert patience.stall(FULL, 0).cause is patience.stall(QUOTA, 0).cause is Cause.FULL
    broken = patience.stall(BROKEN, 0)
    assert (broken.cause, broken.by_itself) == (Cause.BROKEN, False)
    assert patience.stall(FULL, 0).by_itself
    assert Stall(Cause.RESERVE).by_itself


def test_the_words() -> None:
    patience = Patience()
    full = patience.stall(FULL, 0)
    assert full.words("box", NO_ROOM) == (
        "stands still until there is room: the host's disk refused a write"
        " (No space left on device, 3 MiB of 7 MiB needed)"
    )
    held = Stall(Cause.RESERVE)
    assert "only the reserve is left, 3 MiB of 7 MiB needed" in held.words("box", NO_ROOM)
    assert "needed" not in held.words("box", ROOM)
    broken = patience.stall(BROKEN, 0).words("box", None)
    assert "Input/output error" in broken
    assert "sandtop resume box" in broken
    for _ in range(3):  # room that helps nothing: a quota, or a QEMU that lost what it had not written
        patience.went_on(0)
        full = patience.stall(QUOTA, 0)
    assert "sandtop restart --force box" in full.words("box", ROOM)
    assert "sandtop restart" not in full.words("box", NO_ROOM)


def test_by_hand_a_machine_goes_on_unless_the_reserve_forbids_it() -> None:
    held = Stall(Cause.RESERVE)
    held.check("box", ROOM)
    held.check("box", None)
    with pytest.raises(StorageError, match="cannot resume box: it stands still") as caught:
        held.check("box", NO_ROOM)
    assert "disk_reserve_bytes" in str(caught.value)
    for error in (FULL, BROKEN):  # QEMU knows best
        Patience().stall(error, 0).check("box", NO_ROOM)
