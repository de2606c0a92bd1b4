"""How bytes reach the agent. A transport is one small object: it opens the byte stream, and can do so again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import trio

from sandtop.core.errors import ChannelError

if TYPE_CHECKING:
    from pathlib import Path


class Transport(Protocol):
    """What a channel needs of the way to its agent."""

    async def open(self) -> trio.abc.Stream:
        """A fresh stream to the agent. Raises `ChannelError` when there is none to be had."""
        ...


@dataclass(frozen=True, slots=True)
class VirtioSerial:
    """A virtio-serial port behind a Unix socket on which QEMU listens; it takes one connection at a time."""

    socket: Path

    async def open(self) -> trio.abc.Stream:
        try:
            return await trio.open_unix_socket(self.socket)
        except (OSError, RuntimeError) as error:
            raise ChannelError(f"the machine's channel {self.socket} cannot be opened: {error}") from error
