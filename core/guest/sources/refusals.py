"""The layers of a container image, which are no root file system: how they are recognized, and what to do instead."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Collection

MANIFEST: Final = 1 << 20
"""Bytes of a manifest.json that are looked at."""
_TAG: Final = re.compile(r"[\w./:@-]{1,200}", re.ASCII)


def refuse_layers(source: object, names: Collection[str], manifest: bytes) -> None:
    """Raises `InvalidRequest` when ``names``, at the top of ``source``, are those of layers of a container image.

    ``manifest`` is what its manifest.json begins with, if it has one.
    """
    tag = _docker_tag(manifest)
    if {"oci-layout", "index.json", "blobs"} <= {*names}:
        what = "an OCI image layout (so docker save writes it)" if tag is not None else "an OCI image layout"
    elif tag is not None:
        what = "what docker save writes"
    else:
        return
    raise InvalidRequest(
        f"{source} is {what}: the layers of an image, no root file system",
        hint=f"load it (docker load, podman load), then: docker export -o root.tar $(docker create {tag or 'IMAGE'})",
    )


def _docker_tag(manifest: bytes) -> str | None:
    """The name of the first image of docker save, empty when it has none; None when this is not its manifest."""
    try:
        images = json.loads(manifest)
    except (ValueError, RecursionError):
        return None
    match images:
        case [{"Layers": list(), "RepoTags": [str(tag), *_]}, *_]:
            return tag if _TAG.fullmatch(tag) else ""
        case [{"Layers": list()}, *_]:
            return ""
        case _:
            return None
