"""The layers of a container image, which are no root file system: how they are recognized, and what to do instead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Collection

MANIFEST: Final = 1 << 20
"""Bytes of a manifest.json that are looked at."""


def refuse_layers(source: object, names: Collection[str], manifest: bytes) -> None:
    """Raises `InvalidRequest` when ``names``, at the top of ``source``, are those of layers of a container image.

    ``manifest`` is what its manifest.json begins with, if it has one.
    """
    docker = _is_of_docker(manifest)
    if {"oci-layout", "index.json", "blobs"} <= {*names}:
        what = "an OCI image layout (so docker save writes it)" if docker else "an OCI image layout"
    elif docker:
        what = "what docker save writes"
    else:
        return
    raise InvalidRequest(
        f"{source} is {what}: the layers of an image, no root file system",
        hint=f"run: sandtop image load {source}",
    )


def _is_of_docker(manifest: bytes) -> bool:
    """Whether this is the manifest.json of docker save."""
    try:
        images = json.loads(manifest)
    except (ValueError, RecursionError):
        return False
    match images:
        case [{"Layers": list()}, *_]:
            return True
        case _:
            return False
