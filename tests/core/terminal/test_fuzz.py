"""Whatever the bytes and wherever they are cut: no exception, the same screen, and a dump that makes it again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandtop.core.terminal import Emulator

from .compare import again, differing

pytestmark = pytest.mark.slow

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.raw"))

NUMBERS = st.sampled_from(["", "0", "1", "2", "3", "5", "9", "99", "12345", "9" * 30])
TEXTS = st.sampled_from(
    ["a", "bc", "hello world ", "xxxxxxxxx", "中", "中文字", "\u0301", "\u200d", "\ufe0f", "\ufe0e", "❤", "⌚",
     "👩", "👧", "🇩", "🇪", "🏻", "\u0915", "\u094d", "\u0937", "\u200b", "é", "┌─", "q", "#",
     "\u093f", "\u1100", "\u1161", "\u0600"]
)  # fmt: skip
CONTROLS = st.sampled_from(["\r\n", "\n", "\r", "\b", "\t", "\r\n\r\n", "\x0e", "\x0f", "\x07", "\x0b"])
CSI = st.builds(
    "\x1b[{}{}".format,
    st.lists(NUMBERS, max_size=3).map(";".join),
    st.sampled_from("@ABCDEFGHIJKLMPSTXZ`abcdefghlmnqrstu"),
)
SGR = st.sampled_from(
    ["1", "31", "41", "7", "0", "38;5;99", "48;2;1;2;3", "4:3", "58:2::1:2:3", "21", "1;44"]
).map(lambda parameters: f"\x1b[{parameters}m")
MODES = st.builds(
    "\x1b[?{}{}".format,
    st.sampled_from(
        [1, 3, 5, 6, 7, 9, 12, 25, 40, 47, 66, 1000, 1002, 1004, 1006, 1015, 1047, 1048, 1049, 2004, 2026]
    ),
    st.sampled_from("hl"),
)
ESCAPES = st.sampled_from(
    ["7", "8", "D", "E", "M", "H", "c", "=", ">", "(0", "(B", ")0", ")B", "#8", "n", "o", "N", "%G", "[!p", "[3 q",
     "[4h", "[4l", "[20h", "[20l", "[3g", "[c", "[6n", "[?2004$p", "[3b", "[b"]
).map(lambda rest: "\x1b" + rest)  # fmt: skip
STRINGS = st.sampled_from(
    ["\x1b]0;title\x07", "\x1b]2;t\x1b\\", "\x1b]8;;http://x\x1b\\", "\x1b]8;id=3;u\x07", "\x1b]8;;\x07",
     "\x1bPq#data\x1b\\", "\x1b_x\x1b\\", "\x1b]52;c;?\x07", "\x1b]11;?\x07", "\x1b[22;0t", "\x1b[23;0t"]
)  # fmt: skip
BROKEN = st.sampled_from(
    ["\x1b", "\x1b[", "\x1b]", "\x1b[3", "\x18", "\x1b[1\n2C", "\x1bP", "\x9b31m", "\x1b[?", "\x1b(", "\x1b[<u",
     "\x1b[>4;2m", "\x1b]" + "x" * 4100, "\x1b[" + "1;" * 2050]
)  # fmt: skip
STREAMS = st.lists(
    st.one_of(TEXTS, TEXTS, TEXTS, CONTROLS, CSI, CSI, SGR, MODES, ESCAPES, STRINGS, BROKEN), max_size=40
).map(lambda parts: "".join(parts).encode())
BYTES = st.one_of(STREAMS, STREAMS, st.binary(max_size=300))
SIZES = st.sampled_from([(1, 1), (2, 2), (3, 4), (10, 4), (20, 5)])
SCROLLBACKS = st.sampled_from([0, 3, 50])

_slow = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@_slow
@given(data=BYTES, seed=st.integers(0, 1 << 32), size=SIZES, scrollback=SCROLLBACKS)
def test_cuts_change_nothing(data: bytes, seed: int, size: tuple[int, int], scrollback: int) -> None:
    whole, pieces = Emulator(*size, scrollback), Emulator(*size, scrollback)
    whole.feed(data)
    at, cuts = 0, random.Random(seed)
    while at < len(data):
        step = cuts.randint(1, 5)
        pieces.feed(data[at : at + step])
        at += step
    assert differing(whole, pieces) == []
    assert whole.take_replies() == pieces.take_replies()
    assert whole.bells == pieces.bells


@pytest.mark.parametrize("final", ["a", "m", "b"])
@pytest.mark.parametrize("length", range(4094, 4100))
def test_a_plain_sequence_that_is_too_long_has_no_effect_in_one_piece_either(final: str, length: int) -> None:
    data = b"x\x1b[" + b"1;" * (length // 2) + b"1" * (length % 2) + final.encode() + b"y"
    whole, pieces = Emulator(3, 1, 0), Emulator(3, 1, 0)
    whole.feed(data)
    for at in range(0, len(data), 5):
        pieces.feed(data[at : at + 5])
    assert differing(whole, pieces) == []


@_slow
@given(data=BYTES, rest=BYTES, size=SIZES, scrollback=SCROLLBACKS)
def test_a_dump_makes_an_equal_emulator(
    data: bytes, rest: bytes, size: tuple[int, int], scrollback: int
) -> None:
    emulator = Emulator(*size, scrollback)
    emulator.feed(data)
    copy = again(emulator, scrollback)
    assert differing(emulator, copy) == []
    # Equal also in what comes after.
    emulator.feed(rest)
    copy.feed(rest)
    assert differing(emulator, copy) == []


@_slow
@given(data=BYTES, size=SIZES, new=SIZES, scrollback=SCROLLBACKS)
def test_resizing_is_safe(data: bytes, size: tuple[int, int], new: tuple[int, int], scrollback: int) -> None:
    emulator = Emulator(*size, scrollback)
    emulator.feed(data)
    emulator.resize(*new)
    state = emulator.state()
    assert [len(line.cells) for line in (*state.screen, *state.scrollback)] == [new[0]] * (
        new[1] + len(state.scrollback)
    )
    assert len(state.screen) == new[1]
    assert state.cursor.row < new[1]
    assert state.cursor.column < new[0]
    assert differing(emulator, again(emulator, scrollback)) == []
    emulator.feed(data)
    emulator.resize(*size)
    assert emulator.state().columns == size[0]


@settings(max_examples=60)
@given(
    # a blank that wrapped alone onto the next row is no text: on a narrow screen it comes to the end of a row
    words=st.lists(
        st.text("ab 中é", min_size=1, max_size=30).map(lambda word: word.rstrip() or "a"), max_size=12
    ),
    widths=st.lists(st.integers(2, 40), max_size=4),
)
def test_resizing_loses_no_text(words: list[str], widths: list[int]) -> None:
    emulator = Emulator(20, 6)
    emulator.feed("\r\n".join(words).encode())
    before = emulator.text()
    for width in widths:
        emulator.resize(width, 6)
    emulator.resize(20, 6)
    assert emulator.text() == before


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recordings_cut_anywhere_and_dumped_anywhere(path: Path) -> None:
    data = path.read_bytes()
    columns, rows = map(int, path.stem.rsplit("-", 1)[1].split("x"))
    cuts = random.Random(path.stem)
    whole, pieces = Emulator(columns, rows), Emulator(columns, rows)
    whole.feed(data)
    at, dumps = 0, {cuts.randrange(len(data)) for _ in range(4)}
    while at < len(data):
        end = at + cuts.choice((1, 2, 3, 7, 30, 200, 1000))
        pieces.feed(data[at:end])
        if dumps & set(range(at, end)):
            pieces = again(pieces, 1000)
        at = end
    assert differing(whole, pieces) == []
    assert differing(whole, again(whole, 1000)) == []


def test_memory_stays_bounded() -> None:
    """Strings without an end, colours without number, and sequences that never finish leave nothing behind."""
    emulator = Emulator(20, 5, 10)
    for _ in range(200):
        emulator.feed(b"\x1b]2;" + b"x" * 100_000)
        emulator.feed(b"\x1b[" + b"1;" * 50_000)
        emulator.feed("".join(f"\x1b[38;2;{n % 256};{n // 256};7mx" for n in range(200)).encode())
    assert len(emulator.dump()) < 10_000


def test_a_flood_of_repeats_ends() -> None:
    emulator = Emulator(80, 24)
    emulator.feed(b"x\x1b[99999999b" * 500 + b"\x1b[99999L\x1b[9999S\x1b[9999@" * 500)
    assert emulator.cursor.row < 24
