"""One client's connection as the core sees it: frames in, frames out, checked and bounded."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import (
    LONG_STREAM,
    MOST_LONG,
    Control,
    Data,
    Decoder,
    Frame,
    ProtocolError,
    control,
    encode,
)
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.contract.record import Event

PROTOCOL: Final = 1
"""Version of the messages between client and core."""
_CHUNK: Final = 128 * 1024
_PEER: Final = struct.Struct("3i")
REQUEST_DEADLINE: Final = 10.0
"""Seconds for a client to say what it wants."""


class ClientGone(Exception):
    """The client closed its connection."""


class Connection:
    """The core's end of a client's connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._decoder = Decoder()
        self._frames: deque[Frame] = deque()
        self._sending = trio.StrictFIFOLock()
        self.peer = 0

    def check_peer(self) -> None:
        """Raises `InvalidRequest` when another user is at the other end (SO_PEERCRED, unix(7)); ``peer`` is its pid."""
        raw = self._stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        self.peer, uid, _ = _PEER.unpack(raw)
        if uid not in (os.geteuid(), 0):
            raise InvalidRequest("this core belongs to another user")

    async def receive(self) -> Frame:
        """The next frame. Raises `ClientGone`, or ProtocolError for nonsense."""
        while not self._frames:
            try:
                data = await self._stream.receive_some(_CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ClientGone from error
            if not data:
                raise ClientGone
            self._frames.extend(self._decoder.feed(bytes(data)))
        return self._frames.popleft()

    async def until_gone(self) -> None:
        """Raise `ClientGone` when the client closes its connection; what it says meanwhile is nothing."""
        while True:
            await self.receive()

    async def receive_message(self, kind: str) -> dict[str, object]:
        """The next control message, which must be of ``kind``. Raises as `receive`."""
        with trio.move_on_after(REQUEST_DEADLINE):
            frame = await self.receive()
            if not isinstance(frame, Control) or frame.message["type"] != kind:
                raise ProtocolError(f"expected a {kind}")
            return frame.message
        raise ClientGone

    async def receive_long(self, announced: Mapping[str, object]) -> dict[str, object]:
        """The request that ``announced`` says is too long for a frame. Raises as `receive`, and `InvalidRequest`."""
        size = announced.get("bytes")
        if not isinstance(size, int) or not 0 < size <= MOST_LONG:
            raise InvalidRequest(f"a request has at most {MOST_LONG} bytes, not {size!r:.40}")
        text = bytearray()
        while len(text) < size:
            frame: Frame | None = None
            with trio.move_on_after(REQUEST_DEADLINE):
                frame = await self.receive()
            if frame is None:
                raise ClientGone
            if not isinstance(frame, Data) or (frame.stream, frame.offset) != (LONG_STREAM, len(text)):
                raise ProtocolError("expected the rest of a request")
            text += frame.data
        if len(text) > size:
            raise ProtocolError("more of a request than was announced")
        return control(bytes(text)).message

    async def send(self, *frames: Frame) -> None:
        """Send ``frames`` together. Raises `ClientGone`. Waits as long as the client does not read."""
        await self.send_bytes(b"".join(encode(frame) for frame in frames))

    async def send_bytes(self, data: bytes) -> None:
        """Send what is encoded already."""
        try:
            self._sending.acquire_nowait()  # to wait for one's turn takes a turn of the loop, also when it is free
        except trio.WouldBlock:
            await self._sending.acquire()
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ClientGone from error
        finally:
            self._sending.release()

    async def tell(self, event: Event) -> None:
        """Send ``event``. Raises `ClientGone`."""
        await self.send(Control(event.message()))

    async def message(self, kind: str, fields: Mapping[str, object]) -> None:
        """Send one control message. Raises `ClientGone`."""
        await self.send(Control({"type": kind, **fields}))
