"""Requests that are longer than a frame: the client's end of it, and the core's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.agent.wire import (
    LONG,
    LONG_STREAM,
    MAX_PAYLOAD,
    MOST_LONG,
    Control,
    Data,
    ProtocolError,
    encode,
)
from sandtop.core.client.link.plain import is_long, opening
from sandtop.core.daemon.connection import ClientGone, Connection
from sandtop.core.errors import InvalidRequest, SpawnError
from sandtop.core.groups import unwrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

Message = dict[str, object]


def request(op: str, fields: Message) -> Message:
    """A request such as no client of ours would make."""
    return {"type": "request", "op": op, **fields}


async def heard(data: bytes, *, gone: bool = False) -> Mapping[str, object]:
    """The request that a core makes of what a client sends."""
    ours, theirs = trio.socket.socketpair()
    async with trio.SocketStream(theirs) as client, trio.SocketStream(ours) as stream:
        connection = Connection(stream)
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                await client.send_all(data)
                if gone:
                    await client.aclose()

            nursery.start_soon(send)
            await connection.receive_message("hello")
            message: Message = await connection.receive_message("request")
            if message["op"] == LONG:
                message = await connection.receive_long(message)
            return message


@pytest.mark.parametrize("word", ["x" * 1000, "ä\udcff😀" * 150, "\x01" * 1000, '"\\' * 500])
def test_a_request_arrives_as_it_was_made_however_long_it_is(word: str) -> None:
    for count in (1, 2000):
        message = request("session.exec", {"argv": ["true", *[word] * count], "env": {"A": word}})
        data = opening(message)
        assert is_long(data) == (count > 1)
        assert trio.run(heard, data) == message


def test_no_frame_of_it_is_larger_than_others_may_be() -> None:
    data = opening(request("session.exec", {"argv": ["true", *["x" * 1000] * 5000]}))
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        assert length <= MAX_PAYLOAD // 4
        at += 9 + length + 1
    assert at == len(data)


def test_a_short_one_looks_as_it_always_did() -> None:
    message = request("session.exec", {"argv": ["true"]})
    assert opening(message).endswith(encode(Control(message)))


def test_other_operations_have_no_need_for_it() -> None:
    with pytest.raises(InvalidRequest, match="larger than 1 MiB"):
        opening(request("sandbox.create", {"name": "x" * MAX_PAYLOAD}))


@pytest.mark.slow
def test_what_no_program_can_be_given_is_not_even_sent() -> None:
    with pytest.raises(
        SpawnError, match=r"argument 2 .* 50,000,000 bytes, and Linux takes 131,071"
    ) as caught:
        opening(request("session.exec", {"argv": ["cat", "-", "x" * 50_000_000]}))
    assert caught.value.exit_status == 126
    with pytest.raises(InvalidRequest, match=f"more than {MOST_LONG:,}"):
        opening(request("session.exec", {"argv": ["cat"], "labels": {"a": "x" * 50_000_000}}))


def _hello() -> bytes:
    return encode(Control({"type": "hello", "version": 1, "package": "0"}))


def _announced(size: object, *frames: Data) -> bytes:
    first = _hello() + encode(Control({"type": "request", "op": LONG, "bytes": size}))
    return first + b"".join(encode(frame) for frame in frames)


TEXT = json.dumps({"type": "request", "op": "session.exec"}).encode()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (_announced(0), InvalidRequest),
        (_announced(None), InvalidRequest),
        (_announced(MOST_LONG + 1), InvalidRequest),
        (_announced(10, Data(0, 0, b"x")), ProtocolError),
        (_announced(10, Data(LONG_STREAM, 1, b"x")), ProtocolError),
        (_announced(10, Data(LONG_STREAM, 0, b"x" * 11)), ProtocolError),
        (_announced(10, Data(LONG_STREAM, 0, b"x" * 10)), ProtocolError),
        (_announced(10), ClientGone),
        (_announced(10, Data(LONG_STREAM, 0, b"x")), ClientGone),
    ],
)
def test_one_that_breaks_the_rules_is_refused(data: bytes, error: type[Exception]) -> None:
    async def main() -> None:
        with pytest.raises(error), unwrapped():
            await heard(data, gone=True)

    trio.run(main)


def test_one_in_two_pieces_is_put_together() -> None:
    data = _announced(len(TEXT), Data(LONG_STREAM, 0, TEXT[:7]), Data(LONG_STREAM, 7, TEXT[7:]))
    assert trio.run(heard, data) == {"type": "request", "op": "session.exec"}
