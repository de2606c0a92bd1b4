"""Ports of the host that lead into sandboxes: listeners, and what carries the bytes of their connections."""

from __future__ import annotations

from sandtop.core.ports.forwarder import Forwarder, free_port
from sandtop.core.ports.relay import carry, reset_when_closed

__all__ = ["Forwarder", "carry", "free_port", "reset_when_closed"]
