"""Sessions' output from the core: following a log, being attached to a terminal, and the ring that keeps lines."""

from __future__ import annotations
