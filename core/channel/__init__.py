"""The host's end of the channel to an agent: a transport that carries bytes, and a link that survives its breaks."""

from __future__ import annotations

from sandtop.core.channel.link import AgentLink, Listener
from sandtop.core.channel.transport import Transport, UnixSocket

__all__ = ["AgentLink", "Listener", "Transport", "UnixSocket"]
