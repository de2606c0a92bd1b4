"""One session across broken connections, without any connection: whatever breaks where, each byte counts once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.agent.wire import Control, Credit, Data, Decoder, Eof, encode
from sandtop.core.client.session.following import STDERR, STDIN, STDOUT, Following, Reading
from sandtop.core.contract.session import SessionExec, SessionLogs
from sandtop.core.errors import CoreFailure, NotFound

HELLO = encode(Control({"type": "hello", "version": 1}))


def opened(following: Following) -> dict[str, object]:
    """The request that it sends on a new connection."""
    hello, request = Decoder().feed(following.opening())
    assert isinstance(hello, Control)
    assert hello.message["type"] == "hello"
    assert isinstance(request, Control)
    return request.message


def sent(following: Following) -> list[object]:
    frames: list[object] = []
    while (data := following.pull()) is not None:
        frames += Decoder().feed(data)
    return frames


def exec_(*, stdin: bool = False) -> Following:
    return Following(SessionExec(sandbox="demo", id="ab"), stdin=stdin)


@given(
    st.binary(min_size=1, max_size=300),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 80)), max_size=12),
)
def test_output_comes_once_however_connections_break(text: bytes, breaks: list[tuple[int, int]]) -> None:
    """Each connection sends from the offset that was asked for, in pieces, and breaks somewhere, even in a frame."""
    following, received = exec_(), b""

    def connection(piece: int, cut: int | None) -> None:
        nonlocal received
        start = opened(following).get("stdout", 0)
        assert isinstance(start, int)
        frames = [encode(Data(STDOUT, at, text[at : at + piece])) for at in range(start, len(text), piece)]
        for frame in following.feed((HELLO + b"".join(frames))[:cut]):
            assert isinstance(frame, Data)
            assert frame.offset == len(received)
            received += frame.data

    for cut, piece in breaks:
        connection(piece, len(HELLO) + cut)
    connection(50, None)
    assert received == text


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=12), st.lists(st.integers(0, 400), max_size=6))
def test_input_goes_once_however_connections_break(pieces: list[bytes], breaks: list[int]) -> None:
    """The other side acknowledges some of what it took, and forgets nothing of it."""
    following, taken = exec_(stdin=True), b""
    total = b"".join(pieces)
    opened(following)
    following.feed(encode(Credit(STDIN, 0, 1 << 16)))
    for piece in pieces:
        following.write(piece)
    following.close_input()
    ended = False
    for cut in [*breaks, 1 << 20]:
        opened(following)
        following.feed(encode(Credit(STDIN, len(taken), len(taken) + (1 << 16))))
        ended = False
        for frame in sent(following):
            if isinstance(frame, Data) and len(taken) < cut:
                assert frame.offset <= len(taken)
                taken += frame.data[len(taken) - frame.offset :]
            elif isinstance(frame, Eof):
                ended = True
                assert frame.offset == len(total)
    assert taken == total
    assert ended
    assert following.input_sent


def test_nothing_goes_without_credit_nor_beyond_it() -> None:
    following = exec_(stdin=True)
    opened(following)
    assert following.room == 0
    following.feed(encode(Credit(STDIN, 0, 5)))
    assert following.room == 5
    following.write(b"12345")
    assert following.room == 0
    assert sent(following) == [Data(STDIN, 0, b"12345")]
    following.feed(encode(Credit(STDIN, 5, 8)))
    assert following.room == 3


def test_a_gap_moves_the_offset() -> None:
    following = exec_()
    opened(following)
    following.feed(encode(Control({"type": "gap", "stream": STDERR, "bytes": 7})))
    assert following.feed(encode(Data(STDERR, 7, b"x"))) == [Data(STDERR, 7, b"x")]
    assert opened(following)["stderr"] == 8


@pytest.mark.parametrize(
    "frame",
    [
        Data(STDOUT, 3, b"later"),
        Data(5, 0, b"unknown"),
        Control({"type": "gap", "stream": 9, "bytes": 1}),
        Control({"type": "gap", "stream": 1, "bytes": -1}),
        Credit(STDIN, 10, 20),
    ],
)
def test_nonsense_is_the_cores_failure(frame: Data | Control | Credit) -> None:
    following = exec_(stdin=True)
    opened(following)
    with pytest.raises(CoreFailure):
        following.feed(encode(frame))


def test_bytes_that_are_no_frames_are_the_cores_failure() -> None:
    following = exec_()
    opened(following)
    with pytest.raises(CoreFailure, match="does not understand"):
        following.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_the_cores_error_is_raised() -> None:
    following = exec_()
    opened(following)
    with pytest.raises(NotFound, match="no sandbox x"):
        following.feed(encode(Control({"type": "error", "code": "not-found", "message": "no sandbox x"})))


def test_a_lost_input_is_given_up() -> None:
    following = exec_(stdin=True)
    opened(following)
    following.feed(encode(Credit(STDIN, 0, 100)))
    following.write(b"abc")
    following.feed(encode(Control({"type": "lost-input", "reason": "taken over"})))
    assert sent(following) == []
    assert (following.room, following.input_open, following.input_sent) == (0, False, True)


def test_the_size_is_told_again() -> None:
    following = exec_(stdin=True)
    opened(following)
    following.resize(30, 100)
    (first,) = sent(following)
    opened(following)
    (again,) = sent(following)
    assert isinstance(first, Control)
    assert isinstance(again, Control)
    assert (again.message["rows"], again.message["columns"]) == (30, 100)


def test_a_log_begins_where_the_core_says_and_goes_on_there() -> None:
    reading = Reading(SessionLogs(sandbox="demo", tail=2), {STDOUT: 50, STDERR: 9}, session=None)
    assert "stdout" not in opened(reading)
    assert reading.feed(encode(Data(STDOUT, 40, b"0123456789"))) == [Data(STDOUT, 40, b"0123456789")]
    again = opened(reading)
    # stderr, of which nothing came, goes on at the length that it had
    assert (again["stdout"], again["stderr"], again["tail"]) == (50, 9, None)
    assert reading.feed(encode(Data(STDOUT, 0, bytes(50) + b"new"))) == [Data(STDOUT, 50, b"new")]
