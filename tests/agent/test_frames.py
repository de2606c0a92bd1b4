from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandtop.agent.wire import (
    MAX_DATA,
    MAX_PAYLOAD,
    TRAILER,
    Control,
    Credit,
    Data,
    Decoder,
    Eof,
    Frame,
    ProtocolError,
    data_header,
    encode,
)

from .strategies import FRAMES, PATIENT, SIZES, pieces


def decode(chunks: list[bytes]) -> list[Frame]:
    decoder = Decoder()
    return [frame for chunk in chunks for frame in decoder.feed(chunk)]


@PATIENT
@given(st.lists(FRAMES, max_size=6), SIZES)
def test_frames_split_anywhere_decode_the_same(frames: list[Frame], sizes: list[int]) -> None:
    assert decode(pieces(b"".join(map(encode, frames)), sizes)) == frames


@PATIENT
@given(st.lists(FRAMES, max_size=3), st.data())
def test_each_frame_comes_out_with_its_last_byte(frames: list[Frame], data: st.DataObject) -> None:
    decoder = Decoder()
    for frame in frames:
        raw = encode(frame)
        cut = data.draw(st.integers(0, len(raw) - 1))
        assert decoder.feed(raw[:cut]) == []
        assert decoder.buffered == cut
        assert decoder.feed(raw[cut:]) == [frame]
        assert decoder.buffered == 0


@PATIENT
@given(st.binary(max_size=400), SIZES)
def test_garbage_raises_nothing_but_protocol_error(garbage: bytes, sizes: list[int]) -> None:
    decoder = Decoder()
    for piece in pieces(garbage, sizes):
        before = decoder.buffered
        try:
            decoder.feed(piece)
        except ProtocolError:
            return
        assert decoder.buffered <= before + len(piece)


@PATIENT
@given(FRAMES, st.data())
def test_one_wrong_byte_never_escapes_as_another_error(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(encode(frame))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decode([bytes(raw)])
    except ProtocolError:
        return


@PATIENT
@given(st.integers(MAX_PAYLOAD + 1, (1 << 32) - 1), st.integers(0, 255), st.integers(0, (1 << 32) - 1))
def test_a_frame_too_large_is_refused_by_its_header_alone(length: int, kind: int, stream: int) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(struct.pack("!IBI", length, kind, stream))


def test_memory_stays_within_one_frame() -> None:
    decoder = Decoder()
    payload = b"[" * MAX_PAYLOAD  # also as deep as JSON can be nested
    raw = struct.pack("!IBI", MAX_PAYLOAD, 1, 0) + payload
    for start in range(0, len(raw), 4096):
        assert decoder.feed(raw[start : start + 4096]) == []
        assert decoder.buffered <= MAX_PAYLOAD + 9
    with pytest.raises(ProtocolError):
        decoder.feed(b"\0")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"nul",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"{}",
        b'{"type": 7}',
        b"1" * 5000,
        b"[" * 100_000,
        b'{"type":"x"}}',
    ],
)
def test_a_control_frame_is_an_object_with_a_type(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode([struct.pack("!IBI", len(payload), 1, 0) + payload + b"\0"])


@pytest.mark.parametrize(
    ("kind", "stream", "payload"),
    [
        (0, 0, b""),
        (5, 0, b""),
        (1, 1, b'{"type":"x"}'),
        (2, 1, b"short"),
        (2, 1, bytes(8 + MAX_DATA + 1)),
        (2, 1, b"\xff" * 8),
        (3, 1, bytes(15)),
        (3, 1, struct.pack("!QQ", 2, 1)),
        (3, 1, struct.pack("!QQ", 0, 1 << 63)),
        (4, 1, bytes(9)),
        (4, 1, b"\xff" * 8),
    ],
)
def test_what_the_protocol_does_not_know_is_refused(kind: int, stream: int, payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode([struct.pack("!IBI", len(payload), kind, stream) + payload + b"\0"])


def test_what_does_not_fit_a_frame_is_not_sent() -> None:
    with pytest.raises(ProtocolError):
        encode(Control({"type": "x", "padding": "x" * MAX_PAYLOAD}))
    with pytest.raises(ProtocolError):
        encode(Data(1, 0, bytes(MAX_DATA + 1)))


@PATIENT
@given(st.integers(0, 100), st.binary(max_size=100))
def test_a_sender_that_avoids_the_copy_sends_the_same(offset: int, data: bytes) -> None:
    assert data_header(3, offset, len(data)) + data + TRAILER == encode(Data(3, offset, data))


@PATIENT
@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=20))
@example("\udcff")
def test_strings_that_are_not_utf_8_travel(text: str) -> None:
    message: dict[str, object] = {"type": "start", "argv": [text]}
    assert decode([encode(Control(message))]) == [Control(message)]


def test_frames_are_values() -> None:
    assert Credit(1, 2, 3) == Credit(1, 2, 3)
    assert Credit(1, 2, 3) != Credit(1, 2, 4)
    assert Eof(1, 2) != Data(1, 2, b"")
    assert len({Eof(1, 2), Eof(1, 2), Data(1, 2, b"")}) == 2
    assert repr(Eof(1, 2)) == "Eof(1, 2)"
