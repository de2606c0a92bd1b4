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

    async def open(self, token: str) -> trio.abc.Stream:
        """Open a new stream to the agent. Raises `ChannelError` when it cannot be opened.

        ``token`` is the machine's secret, with which the link on that stream will begin. A transport on which others of
        this host can reach the agent has it learn the secret first, by a way that is the core's alone.
        """
        ...


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A port of the machine behind a Unix socket on the host, which takes one connection at a time."""

    path: Path

    async def open(self, token: str) -> trio.abc.Stream:
        """See `Transport`. The socket is the core's alone (0600), so the agent takes the secret from the first link."""
        try:
            return await trio.open_unix_socket(self.path)
        except (OSError, RuntimeError) as error:
            raise ChannelError(f"the machine's channel {self.path} cannot be opened: {error}") from error
