"""Transports: how bytes reach the agent. A transport opens a byte stream to it, as often as it is asked to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import trio

from sandtop.core.errors import ChannelError

if TYPE_CHECKING:
    from pathlib import Path


class Transport(Protocol):
    """A way to one machine's agent."""

    async def open(self) -> trio.abc.Stream:
        """Open a new stream to the agent. Raises `ChannelError` when it cannot be opened."""
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
