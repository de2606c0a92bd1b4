"""The host's end of the channel: transports, and the link to a machine's agent that survives their breaking."""

from __future__ import annotations

from sandtop.core.channel.link import AgentLink, Listener
from sandtop.core.channel.transport import Transport, UnixSocket

__all__ = ["AgentLink", "Listener", "Transport", "UnixSocket"]
