"""Detach keys: no terminal is needed for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.client.session.detach import DetachKeys
from sandtop.core.errors import InvalidRequest


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
    for sent in (
        b"\x1b[93;5u", b"\x1b[27;5;93~", b"\x1b[93;133u", b"\x1b[93;69:1u", b"\x1b[93:125;5u", b"\x1b[93;5;29u",
        b"\x1b[1098::93;5u", b"\x1b[27;133;93~", b"\x1b[93:125:93;197:2;29u",
    ):  # fmt: skip
        assert typed(DetachKeys(), b"\x1b[A" + sent) == (b"\x1b[A", True)
    assert typed(DetachKeys(), b"\x1b") == (b"\x1b", False)  # Escape alone is not kept waiting


def test_keys_that_are_let_go_do_not_end_a_sequence() -> None:
    """kitty's flags 2 and 8: events of ctrl itself, and of each key's end."""
    typing = [b"\x1b[57442;5u", b"\x1b[97;5u", b"\x1b[97;5:3u", b"\x1b[57442;1:3u", b"\x1b[100u"]
    assert typed(DetachKeys("ctrl-a,d"), *typing) == (typing[0] + typing[2] + typing[3], True)
    for last in (b"d", b"\x1b[100;129u", b"\x1b[100;1;100u", b"\x1b[100;;100u", b"\x1b[1074::100u"):
        assert typed(DetachKeys("ctrl-a,d"), b"\x01", last)[1] is (last != b"\x1b[1074::100u")
    for last in (b"D", b"\x1b[100:68;2u", b"\x1b[100;2u", b"\x1b[68u"):
        assert typed(DetachKeys("ctrl-a,D"), b"\x01", last) == (b"", True)
    assert typed(DetachKeys("~"), b"\x1b[96:126;2u") == (b"", True)


def test_other_keys_with_more_to_say_are_the_programs() -> None:
    for sent in (
        b"\x1b[93u",
        b"\x1b[93;7u",
        b"\x1b[93;5:3u",
        b"\x1b[27;7;93~",
        b"\x1b[92;5u",
        b"\x1b[193;5u",
    ):
        assert typed(DetachKeys(), sent) == (sent, False)


@given(st.lists(st.binary(max_size=5)), st.sampled_from(["ctrl-]", "ctrl-p,ctrl-q", "a,b,a,c"]))
def test_every_other_key_arrives_as_it_is(pieces: list[bytes], text: str) -> None:
    whole = b"".join(pieces)
    out, left = typed(DetachKeys(text), *pieces)
    assert whole.startswith(out)
    if not left:
        assert len(whole) - len(out) < len(text.split(","))
