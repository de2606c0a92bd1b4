"""What host and sandboxes use: sampled now and then, and kept for an hour."""

from __future__ import annotations

from sandtop.core.fleet.watch.watch import Watch

__all__ = ["Watch"]
