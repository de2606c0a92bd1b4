"""The handshake that begins a link, on a stream: the core's side."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import HostHandshake, ProtocolError, marker
from sandtop.core.errors import ChannelError

if TYPE_CHECKING:
    from trio.abc import Stream

CHUNK: Final = 256 * 1024
"""Bytes that are read at once."""
_USUALLY_LEFT: Final = 8 << 20
_MOST_LEFT: Final = 64 << 20
"""Bytes of an earlier link that come before the answer to a marker, usually and at the most. Port and sockets hold a
few MiB of them, and an agent that has not read the marker yet may send more."""
_DROP_PAUSE: Final = 0.005
"""Seconds between two reads of such bytes beyond the usual number, so that they do not keep the core busy."""


async def shake_hands(stream: Stream, token: str) -> bytes:
    """Begin a link on ``stream``; what came behind the agent's answer. Waits for that as long as it takes.

    Raises `ChannelError` when the stream ends before, `ProtocolError` when too much comes that is no answer.
    """
    nonce = secrets.token_hex(16)
    handshake = HostHandshake(nonce)
    await stream.send_all(marker(token, nonce))
    while data := bytes(await stream.receive_some(CHUNK)):
        first = handshake.feed(data)
        if first is not None:
            return first
        if handshake.dropped > _MOST_LEFT:
            raise ProtocolError(f"more than {_MOST_LEFT} bytes and no answer to the marker")
        if handshake.dropped > _USUALLY_LEFT:
            await trio.sleep(_DROP_PAUSE)
    raise ChannelError("the machine closed the channel")
