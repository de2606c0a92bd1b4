"""Images of containers: what registries, ``docker save`` and OCI layouts have, and the layers of them that are kept."""

from __future__ import annotations

from sandtop.core.guest.containers.config import ContainerConfig
from sandtop.core.guest.containers.kept import Kept, Layers
from sandtop.core.guest.containers.load import load
from sandtop.core.guest.containers.pull import Pull, pull
from sandtop.core.guest.containers.reference import Reference

__all__ = ["ContainerConfig", "Kept", "Layers", "Pull", "Reference", "load", "pull"]
