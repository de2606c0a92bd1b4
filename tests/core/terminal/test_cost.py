"""What is done in bulk does what it would have done one by one."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.terminal.compare import differing
from tests.core.terminal.test_fuzz import BYTES, SIZES, STREAMS

from sandtop.core.terminal import Emulator, fitting


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    before=STREAMS,
    after=STREAMS,
    modes=st.lists(st.sampled_from(["\x1b[?7l", "\x1b[4h", "\x1b[2;3r", "\x1b[?1049h", "\x1b[1;2r\x1b[9H"])),
    character=st.sampled_from(["x", "中", "é"]),
    count=st.integers(1, 60),
    size=SIZES,
)
def test_a_repeat_is_the_character_so_many_times(
    before: bytes, after: bytes, modes: list[str], character: str, count: int, size: tuple[int, int]
) -> None:
    """REP (ECMA-48 §8.3.103), whatever the screen's state, and whatever comes then."""
    start = b"\x18" + before + b"\x18" + "".join(modes).encode() + character.encode()
    if (
        _left_of_cursor(start, size) != character
    ):  # a character set made another of it, or there is no room for it
        return
    repeated, printed = Emulator(*size, 50), Emulator(*size, 50)
    screenful = size[0] * size[1]
    # A control function comes last in both: what joins the character before it would show the difference.
    repeated.feed(start + b"\x1b[%db" % count + b"\x00")
    printed.feed(start + character.encode() * min(count, screenful) + b"\x00")
    assert differing(repeated, printed) == []
    repeated.feed(after)
    printed.feed(after)
    assert differing(repeated, printed) == []


def _left_of_cursor(data: bytes, size: tuple[int, int]) -> str:
    """What stands left of the cursor after ``data``."""
    emulator = Emulator(*size, 50)
    emulator.feed(data)
    cursor = emulator.cursor
    x = cursor.column + cursor.pending_wrap - 1
    cells = emulator.cells(cursor.row)
    if x > 0 and not cells[x].width:
        x -= 1
    return cells[x].text if x >= 0 else ""


@pytest.mark.parametrize("grapheme", ["e\u0301", "\U0001f469\u200d\U0001f469", "\u1100"])
def test_a_repeated_grapheme_is_a_cell_each_time(grapheme: str) -> None:
    emulator = Emulator(6, 3, 10)
    emulator.feed(f"{grapheme}\x1b[99b".encode())
    cells = [
        cell for row in range(-emulator.scrollback_rows, 3) for cell in emulator.cells(row) if cell.width
    ]
    assert {cell.text for cell in cells} == {grapheme, " "}
    copy = Emulator(6, 3, 10)
    copy.feed(emulator.dump())
    assert differing(emulator, copy) == []


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=BYTES, size=SIZES)
def test_time_may_cut_anywhere(data: bytes, size: tuple[int, int]) -> None:
    """With no time at all a little is taken each time, and the screen is the same."""
    whole, pieces = Emulator(*size, 50), Emulator(*size, 50)
    data *= 1 + 2000 // (len(data) + 1)
    whole.feed(data)
    done = 0
    while done < len(data):
        taken = pieces.feed(data[done:], 0)
        assert 0 < taken <= 4096
        done += taken
    assert differing(whole, pieces) == []


@pytest.mark.parametrize("window", [(0, 0), (24, 80), (10_000, 10_000), (10_000, 1), (1, 10_000), (50, 2000)])
def test_every_window_has_a_screen_that_fits(window: tuple[int, int]) -> None:
    """The core takes windows that are larger than a screen may be."""
    rows, columns = fitting(*window)
    emulator = Emulator(columns, rows, 0)
    assert (emulator.rows, emulator.columns) == (rows, columns)
    assert rows == window[0] or not 1 <= window[0] <= 1999
    assert columns == window[1] or not 1 <= window[1] <= 1999
