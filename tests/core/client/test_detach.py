"""Detach keys, and what a program leaves switched on: no terminal is needed for either."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.client.detach import DetachKeys
from sandtop.core.client.leftovers import Leftovers
from sandtop.core.errors import InvalidRequest
from sandtop.core.terminal import Emulator


def typed(keys: DetachKeys, *pieces: bytes) -> tuple[bytes, bool]:
    out = b""
    for piece in pieces:
        passed, left = keys.feed(piece)
        out += passed
        if left:
            return out, True
    return out, False


@pytest.mark.parametrize("text", ["ctrl-]", "CTRL-]", "ctrl-P,ctrl-q", "a", "ctrl-@", "~,.", "ctrl-a,d"])
def test_sequences_that_make_sense(text: str) -> None:
    codes = [
        bytes([ord(key[-1].upper()) & 0x1F]) if len(key) > 1 else key.encode() for key in text.split(",")
    ]
    assert typed(DetachKeys(text), b"before " + b"".join(codes) + b"behind") == (b"before ", True)
    assert typed(DetachKeys(text), b"before ", *codes) == (b"before ", True)


@pytest.mark.parametrize(
    "text",
    ["", ",", "ctrl-", "ctrl-5", "ctrl-]x", "shift-a", "ctrl-p,", "é", "\t", "ctrl-é", "a,a,a,a,a,a,a,a,a"],
)
def test_sequences_that_make_none(text: str) -> None:
    with pytest.raises(InvalidRequest, match="detach keys"):
        DetachKeys(text)


def test_the_beginning_of_a_sequence_is_the_programs_when_it_ends_otherwise() -> None:
    keys = DetachKeys("ctrl-p,ctrl-q")
    assert keys.feed(b"\x10") == (b"", False)
    assert keys.feed(b"x") == (b"\x10x", False)
    assert keys.feed(b"\x10\x10\x10") == (b"\x10\x10", False)
    assert keys.feed(b"\x11") == (b"", True)
    assert typed(DetachKeys("a,a,b"), b"aaab") == (b"a", True)


def test_the_way_out_is_found_in_what_terminals_send_when_asked_for_more() -> None:
    for sent in (b"\x1b[93;5u", b"\x1b[27;5;93~"):
        assert typed(DetachKeys(), b"\x1b[A" + sent) == (b"\x1b[A", True)
    assert typed(DetachKeys(), b"\x1b") == (b"\x1b", False)  # Escape alone is not kept waiting


@given(st.lists(st.binary(max_size=5)), st.sampled_from(["ctrl-]", "ctrl-p,ctrl-q", "a,b,a,c"]))
def test_every_other_key_arrives_as_it_is(pieces: list[bytes], text: str) -> None:
    whole = b"".join(pieces)
    out, left = typed(DetachKeys(text), *pieces)
    assert whole.startswith(out)
    if not left:
        assert len(whole) - len(out) < len(text.split(","))


EVERYTHING = (
    b"\x1b[?1049h\x1b[?1;25;1002;1006;2004h\x1b[?25l\x1b[?7l\x1b=\x1b[1;31m\x1b[5;10r\x1b[4 q\x1b[4h\x1b(0"
    b"\x1b]8;;https://example.org\x1b\\link\x1b[>4;2m\x1b[>1u"
)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_terminal_is_as_usual_again(size: int) -> None:
    before, after, leftovers = Emulator(), Emulator(), Leftovers()
    before.feed(b"$ sandtop attach box\r\n")
    after.feed(b"$ sandtop attach box\r\n")
    for start in range(0, len(EVERYTHING), size):
        after.feed(EVERYTHING[start : start + size])
        leftovers.feed(EVERYTHING[start : start + size])
    assert after != before
    after.feed(leftovers.undo())
    assert (after.text(), after.modes, after.cursor) == (before.text(), before.modes, before.cursor)
    after.feed(b"x")
    before.feed(b"x")
    assert after.cells(1) == before.cells(1)


def test_what_the_program_put_back_itself_is_left_alone() -> None:
    leftovers = Leftovers()
    leftovers.feed(EVERYTHING)
    leftovers.feed(b"\x1b[?1049l\x1bc")
    assert leftovers.undo() == b""
    leftovers.feed(b"plain \xe2\x80\xa6 text \x1b[?2004h\x1b[?2004l\x1b[32mgreen\x1b[0m")
    assert leftovers.undo() == b""


def test_between_two_halves_of_a_sequence_or_a_character_is_no_place_for_anything_else() -> None:
    leftovers = Leftovers()
    for half in (b"\x1b", b"\x1b[3", b"\x1b]0;tit", b"\xe2\x80"):
        leftovers.feed(half)
        assert leftovers.midway
        leftovers.feed(b"1mx\x07x")
        assert not leftovers.midway
    leftovers.feed(b"\x1b]0;tit")
    screen = Emulator()
    screen.feed(b"\x1b]0;tit" + leftovers.undo() + b"seen")
    assert screen.text().startswith("seen")
