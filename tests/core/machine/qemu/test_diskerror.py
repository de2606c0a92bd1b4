"""What QEMU says of a disk that the host refuses, read from what it sent; and that nothing else is taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.machine import DiskError
from sandtop.core.machine.qemu.diskerror import found, told
from sandtop.core.machine.qemu.qmp import Event

# as QEMU 7.2 sent it, of a disk on a tmpfs that was full
REFUSED: dict[str, object] = {
    "device": "",
    "nospace": True,
    "node-name": "overlay",
    "reason": "No space left on device",
    "operation": "write",
    "action": "stop",
}


def test_what_stopped_it() -> None:
    error = told(Event("BLOCK_IO_ERROR", REFUSED))
    assert error == DiskError("No space left on device", stopped=True)
    assert error is not None
    assert error.no_room


@pytest.mark.parametrize(
    ("reason", "room"),
    [("Disk quota exceeded", False), ("Input/output error", True), ("Read-only file system", True)],
)
def test_only_some_errors_are_for_want_of_room(reason: str, room: bool) -> None:
    error = told(Event("BLOCK_IO_ERROR", {**REFUSED, "nospace": False, "reason": reason}))
    assert error is not None
    assert error.reason == reason
    assert error.no_room is not room


def test_an_error_that_the_guest_was_told_of_stops_nothing() -> None:
    data = {
        **REFUSED,
        "nospace": False,
        "operation": "read",
        "action": "report",
        "reason": "Input/output error",
    }
    assert told(Event("BLOCK_IO_ERROR", data)) == DiskError("Input/output error", stopped=False)


@given(
    st.dictionaries(st.sampled_from(list(REFUSED)), st.none() | st.integers() | st.text() | st.just("stop"))
)
def test_a_qemu_that_lies_puts_nothing_on_a_terminal(data: dict[str, object]) -> None:
    assert told(Event("STOP", data)) is None
    error = told(Event("BLOCK_IO_ERROR", data))
    assert error is not None
    assert error.reason.isprintable()
    assert 0 < len(error.reason) <= 80


def test_a_core_that_comes_later_asks() -> None:
    def disks(*states: object) -> object:
        return [{"device": "", "io-status": state, "qdev": "/machine"} for state in states]

    assert found(disks("ok", "nospace")) == DiskError("No space left on device", stopped=True)
    failed = found(disks("failed", "ok"))
    assert failed is not None
    assert not failed.no_room
    for answer in (disks("ok", None), [], None, "nospace", [None, ["nospace"]]):
        assert found(answer) is None
