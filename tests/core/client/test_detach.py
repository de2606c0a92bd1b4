"""Detach keys: no terminal is needed for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.client.detach import DetachKeys
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
