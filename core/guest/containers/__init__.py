"""Images of containers: what registries, ``docker save`` and OCI layouts have, and the layers of them that are kept."""

from __future__ import annotations

from sandtop.core.guest.containers.config import ContainerConfig
from sandtop.core.guest.containers.documents import Descriptor
from sandtop.core.guest.containers.kept import Incoming, Kept, Layers, Stack
from sandtop.core.guest.containers.load import load
from sandtop.core.guest.containers.pull import Pull, pull
from sandtop.core.guest.containers.reference import Reference
from sandtop.core.guest.containers.steps import Steps

__all__ = [
    "ContainerConfig",
    "Descriptor",
    "Incoming",
    "Kept",
    "Layers",
    "Pull",
    "Reference",
    "Stack",
    "Steps",
    "load",
    "pull",
]
