"""The host's end of the channel to an agent: a transport that carries bytes, and a link that survives its breaks."""

from __future__ import annotations

from sandtop.core.channel.connections import GuestConnection
from sandtop.core.channel.link import AgentLink
from sandtop.core.channel.listener import Listener
from sandtop.core.channel.older import too_old
from sandtop.core.channel.transport import Transport, UnixSocket
from sandtop.core.channel.vsock import Hybrid, Kernel, Vsock

__all__ = [
    "AgentLink",
    "GuestConnection",
    "Hybrid",
    "Kernel",
    "Listener",
    "Transport",
    "UnixSocket",
    "Vsock",
    "too_old",
]
