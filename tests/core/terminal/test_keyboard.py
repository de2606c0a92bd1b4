"""How a program asked for its keys: kept for each screen, and part of what a dump makes again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.terminal import Emulator

SEQUENCES = [
    b"\x1b[>1u", b"\x1b[>31u", b"\x1b[>u", b"\x1b[=5u", b"\x1b[=2;2u", b"\x1b[=1;3u", b"\x1b[<u", b"\x1b[<2u",
    b"\x1b[<99u",
    b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[>4;2m", b"\x1b[>4m", b"\x1b[>4;0m", b"\x1b[>1;3m", b"\x1b[>m",
    b"\x1b[?2048h",
    b"\x1b[?1016h", b"\x1b[?2031;9001h", b"\x1b[?2048l", b"\x1bc", b"\x1b7", b"text",
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "main", "alternate"),
    [
        (b"\x1b[>1u\x1b[>5u", (1, 5), ()),
        (b"\x1b[>1u\x1b[>5u\x1b[<u", (1,), ()),
        (b"\x1b[=5u\x1b[=2;2u", (7,), ()),
        (b"\x1b[=7u\x1b[=2;3u", (5,), ()),
        (b"\x1b[>1u\x1b[?1049h\x1b[>2u", (1,), (2,)),
        (b"\x1b[>1u\x1b[?1049h\x1b[>2u\x1b[?1049l\x1b[<u", (), (2,)),
        (b"\x1b[>1u" * 20 + b"\x1b[>2u", (1,) * 7 + (2,), ()),
        (b"\x1b[>1u\x1b[<99u\x1b[<u", (), ()),
        (b"\x1b[>255u", (31,), ()),
        (b"\x1b[>1u\x1b[?1049h\x1b[>2u\x1bc", (), ()),
    ],
)
def test_each_screen_has_a_stack(data: bytes, main: tuple[int, ...], alternate: tuple[int, ...]) -> None:
    emulator = Emulator()
    emulator.feed(data)
    assert emulator.state().keyboard[:2] == (main, alternate)


@given(st.lists(st.sampled_from(SEQUENCES), max_size=12).map(b"".join))
def test_a_dump_brings_it_back(data: bytes) -> None:
    emulator, again = Emulator(20, 5), Emulator(20, 5)
    emulator.feed(data)
    again.feed(emulator.dump())
    assert again.state() == emulator.state()


def test_nobody_is_told_that_it_is_understood() -> None:
    """A program that asks must not send keys to be encoded so by a console that does not."""
    emulator = Emulator()
    emulator.feed(b"\x1b[>1u\x1b[?u\x1b[?2048h\x1b[?2048$p")
    assert emulator.take_replies() == b"\x1b[?2048;0$y"
