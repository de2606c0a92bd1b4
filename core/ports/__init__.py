"""Ports of the host that lead into sandboxes: listeners, and what carries the bytes of their connections."""

from __future__ import annotations

from sandtop.core.ports.forwarder import Forwarder, free_port
from sandtop.core.ports.relay import Counted, carry, keep_when_closed, reset_when_closed

__all__ = ["Counted", "Forwarder", "carry", "free_port", "keep_when_closed", "reset_when_closed"]
