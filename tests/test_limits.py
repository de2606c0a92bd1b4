"""What one end of a link takes, the other takes too: their limits are the same numbers (sandtop.agent.wire.limits)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandtop.agent import start
from sandtop.agent.defaults import Defaults
from sandtop.agent.machine import Identity
from sandtop.agent.wire.limits import MAX_NAME, MAX_WINDOW_SIDE, PIPE_WINDOW, TTY_WINDOW
from sandtop.agent.wire.values import InvalidMessage
from sandtop.core.contract.codec import decode_request
from sandtop.core.contract.limits import NAME
from sandtop.core.contract.sandbox import SandboxCreate
from sandtop.core.contract.session import SessionResize
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = (
    st.integers(-1, 2)
    | st.integers(MAX_WINDOW_SIDE - 1, MAX_WINDOW_SIDE + 1)
    | st.integers()
    | st.sampled_from([None, True, 1.0, "24"])
)


def core_window(size: dict[str, object]) -> object:
    return decode_request(SessionResize, size)


def takes(check: Callable[[dict[str, object]], object], value: dict[str, object]) -> bool:
    try:
        check(value)
    except (InvalidMessage, InvalidRequest):
        return False
    return True


@given(SIDE, SIDE)
@example(1, MAX_WINDOW_SIDE)
@example(MAX_WINDOW_SIDE + 1, 80)
@example(24, 0)
def test_a_terminals_window(rows: object, columns: object) -> None:
    size = {"rows": rows, "columns": columns}
    assert takes(start.window_size, size) == takes(core_window, size)


def test_a_window_has_1_to_10000_rows_and_columns() -> None:
    for side, fits in ((0, False), (1, True), (10_000, True), (10_001, False)):
        for check in (start.window_size, core_window):
            assert takes(check, {"rows": side, "columns": 80}) == fits
            assert takes(check, {"rows": 24, "columns": side}) == fits


@given(st.from_regex(NAME, fullmatch=True))
@example("a" * MAX_NAME)
def test_a_sandboxs_name_is_a_host_name(name: str) -> None:
    assert decode_request(SandboxCreate, {"name": name}).name == name
    identity = Identity({"hostname": name, "machine_id": None, "entropy": None, "clock_ns": None})
    assert identity.hostname == name


def test_a_longer_name_is_neither() -> None:
    name = "a" * (MAX_NAME + 1)
    with pytest.raises(InvalidRequest):
        decode_request(SandboxCreate, {"name": name})
    with pytest.raises(InvalidMessage):
        Identity({"hostname": name, "machine_id": None, "entropy": None, "clock_ns": None})


def test_the_windows_of_output_that_a_core_gives_are_taken() -> None:
    given_by_core = Defaults({"window": PIPE_WINDOW, "tty_window": TTY_WINDOW})
    nothing_said = Defaults({})
    assert (given_by_core.window, given_by_core.tty_window) == (PIPE_WINDOW, TTY_WINDOW)
    assert (nothing_said.window, nothing_said.tty_window) == (PIPE_WINDOW, TTY_WINDOW)
