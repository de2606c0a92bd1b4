from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.agent.wire import AgentHandshake, Frame, HostHandshake, answer, encode, marker

from .strategies import FRAMES, PATIENT, SIZES, pieces

TOKEN, OTHER = "ab" * 16, "cd" * 16
NONCE, SECOND = "01" * 16, "23" * 16
MARKER = marker(TOKEN, NONCE)

# what is most likely to confuse a search for markers: pieces of markers
RUBBISH = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.integers(1, len(MARKER) - 1).map(lambda cut: MARKER[:cut]),
        st.integers(1, len(MARKER) - 1).map(lambda cut: MARKER[cut:]),
        st.just(marker(OTHER, NONCE)),
        st.just(b"\xff" * 7),
        st.just(b"\xffSANDTOP-SYNC-1\xff\0"),
    ),
    max_size=5,
).map(b"".join)


def feed(handshake: AgentHandshake, chunks: list[bytes]) -> tuple[bytes | None, bytes]:
    """The last nonce, and all that came out since it."""
    nonce, out = None, b""
    for chunk in chunks:
        fresh, rest = handshake.feed(chunk)
        if fresh is not None:
            nonce, out = fresh, b""
        out += rest
    return nonce, out


@PATIENT
@given(RUBBISH, st.lists(FRAMES, max_size=3), SIZES)
def test_a_marker_is_found_behind_any_rubbish(rubbish: bytes, frames: list[Frame], sizes: list[int]) -> None:
    link = b"".join(map(encode, frames))
    handshake = AgentHandshake(TOKEN.encode())
    assert feed(handshake, pieces(rubbish + MARKER + link, sizes)) == (NONCE.encode(), link)


@PATIENT
@given(RUBBISH.filter(lambda rubbish: not re.search(rb"\xffSANDTOP-SYNC-1\xff[0-9a-f]{64}", rubbish)), SIZES)
def test_an_agent_without_a_token_finds_the_first_marker_too(rubbish: bytes, sizes: list[int]) -> None:
    handshake = AgentHandshake()
    assert feed(handshake, pieces(rubbish + MARKER, sizes)) == (NONCE.encode(), b"")
    assert handshake.token == TOKEN.encode()


@PATIENT
@given(st.lists(FRAMES, max_size=4), RUBBISH, SIZES)
def test_of_two_links_only_the_second_counts(frames: list[Frame], rubbish: bytes, sizes: list[int]) -> None:
    first = b"".join(map(encode, frames))
    cut = len(first) // 2
    handshake = AgentHandshake(TOKEN.encode())
    stream = MARKER + first[:cut] + rubbish + marker(TOKEN, SECOND) + first
    assert feed(handshake, pieces(stream, sizes)) == (SECOND.encode(), first)


@PATIENT
@given(st.lists(FRAMES, min_size=1, max_size=4), SIZES)
def test_a_whole_frame_is_never_held_back(frames: list[Frame], sizes: list[int]) -> None:
    handshake = AgentHandshake(TOKEN.encode())
    for frame in frames:
        raw = encode(frame)
        assert feed(handshake, pieces(raw, sizes)) == (None, raw)


@PATIENT
@given(st.binary(max_size=300), SIZES)
def test_bytes_without_a_marker_pass_unchanged(data: bytes, sizes: list[int]) -> None:
    handshake = AgentHandshake(TOKEN.encode())
    assert feed(handshake, [*pieces(data, sizes), b"\0"]) == (None, data + b"\0")


def test_the_marker_of_another_machine_is_data() -> None:
    foreign = marker(OTHER, NONCE) + b"\0"
    handshake = AgentHandshake(TOKEN.encode())
    assert handshake.feed(foreign) == (None, foreign)


@PATIENT
@given(st.binary(max_size=300), st.lists(FRAMES, max_size=3), SIZES)
def test_the_host_drops_all_before_its_own_answer(
    rubbish: bytes, frames: list[Frame], sizes: list[int]
) -> None:
    link = b"".join(map(encode, frames))
    host = HostHandshake(NONCE)
    stale = answer(SECOND.encode())
    received: bytes | None = None
    for piece in pieces(rubbish + stale + answer(NONCE.encode())[:9] + answer(NONCE.encode()) + link, sizes):
        if received is None:
            received = host.feed(piece)
        else:
            received += piece
    assert received == link
    assert host.dropped == len(rubbish) + len(stale) + 9


@pytest.mark.parametrize("token", ["", "ab", "AB" * 16, "g" * 32, "ab" * 16 + "\n", "é" * 16])
def test_a_token_is_32_hexadecimal_digits(token: str) -> None:
    with pytest.raises(ValueError, match=r"hexadecimal|ascii"):
        marker(token, NONCE)


def test_the_host_holds_no_more_than_an_answer() -> None:
    host, rubbish = HostHandshake(NONCE), b"\xffSANDTOP-HERE-1\xff" * 1000
    for _ in range(50):
        assert host.feed(rubbish) is None
    assert host.dropped > 50 * len(rubbish) - len(answer(NONCE.encode()))
