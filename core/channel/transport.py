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
class UnixSocket:
    """A port of the machine behind a Unix socket on the host, which takes one connection at a time."""

    path: Path

    async def open(self) -> trio.abc.Stream:
        try:
            return await trio.open_unix_socket(self.path)
        except (OSError, RuntimeError) as error:
            raise ChannelError(f"the machine's channel {self.path} cannot be opened: {error}") from error
