"""A folder of the host as the source of an image."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandtop.core.errors import InvalidRequest
from sandtop.core.guest import squashfs
from sandtop.core.guest.sources.refusals import MANIFEST, refuse_layers

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.guest.tools import Progress


@dataclass(frozen=True, slots=True)
class Folder:
    """The files below ``path``.

    They keep their owners when root builds; an ordinary user cannot have given them their right owners, and they all
    become root's.
    """

    path: Path

    @property
    def description(self) -> str:
        return str(self.path)

    def write(self, out: Path, scratch: Path, progress: Progress) -> None:
        squashfs.of_folder(self.path, out, f"reading {self.path}", keep_owners=os.geteuid() == 0)


def recognize(path: Path) -> Folder | None:
    """The source, when ``path`` is a folder. Raises `InvalidRequest` when it is empty, or holds an image's layers."""
    if not path.is_dir():
        return None
    names = os.listdir(path)
    if not names:
        raise InvalidRequest(f"{path} is empty")
    refuse_layers(path, names, _manifest(path))
    return Folder(path)


def _manifest(folder: Path) -> bytes:
    """What manifest.json of a folder begins with; nothing when it has none."""
    try:
        with (folder / "manifest.json").open("rb") as file:
            return file.read(MANIFEST)
    except OSError:
        return b""
