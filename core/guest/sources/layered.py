"""The layers of a container image as the source of an image."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.guest.sources import told

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandtop.core.guest.tools import Progress

_PROGRAM: Final = "sandtop.core.guest.sources.layertar"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: a tar, plain, .gz or .zst, at ``path``.

    Attributes:
        digest: of the file, as ``sha256:…``: what the layer is called by.
        diff_id: of the tar in it. The image is made of nothing that does not match.
    """

    path: Path
    digest: str
    diff_id: str


@dataclass(frozen=True, slots=True)
class Layered:
    """The root file system that ``layers``, the lowest first, come to.

    Attributes:
        description: what image they are of.
        folders: paths where there is to be a folder: one that is in no layer is made.
    """

    description: str
    layers: Sequence[Layer]
    folders: Sequence[str] = ()

    def write(self, out: Path, scratch: Path, progress: Progress) -> None:
        order = scratch / "layers.json"
        order.write_text(
            json.dumps(
                {
                    "layers": [
                        {"path": str(layer.path), "digest": layer.digest, "diff_id": layer.diff_id}
                        for layer in self.layers
                    ],
                    "folders": list(self.folders),
                }
            )
        )
        told.make(_PROGRAM, order, out, f"unpacking {self.description}", progress)
