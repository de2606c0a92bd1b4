"""A tar file of the host as the source of an image, compressed or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.guest.sources import told

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.guest.tools import Progress

_PROGRAM: Final = "sandtop.core.guest.sources.roottar"


@dataclass(frozen=True, slots=True)
class Tarball:
    """The root file system in the tar file ``path``: plain, .gz, .xz or .zst. Its files keep their owners."""

    path: Path

    @property
    def description(self) -> str:
        return str(self.path)

    def write(self, out: Path, scratch: Path, progress: Progress) -> None:
        told.make(_PROGRAM, self.path, out, f"reading {self.path}", progress)


def recognize(path: Path) -> Tarball | None:
    """The source, when ``path`` is a file. What is in the file is looked at when the image is made."""
    if not path.is_file():
        return None
    with path.open("rb"):  # or raises: the program that reads it later could say so only of a failed image
        return Tarball(path)
