"""Building images of Dockerfiles, in sandboxes."""

from __future__ import annotations

from sandtop.core.client.sdk.building.builder import Options, build

__all__ = ["Options", "build"]
