"""A tar file of the host as the source of an image, compressed or not."""

from __future__ import annotations

import json
import sys
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError, SandtopError, from_wire
from sandtop.core.guest import squashfs

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
        said: deque[str] = deque(maxlen=1)
        try:
            squashfs.of_tar(
                [sys.executable, "-P", "-m", _PROGRAM, self.path], out, f"reading {self.path}", said.append
            )
        except ImageError as error:
            raise _told(said[-1] if said else "") or error from error


def recognize(path: Path) -> Tarball | None:
    """The source, when ``path`` is a file. What is in the file is looked at when the image is made."""
    if not path.is_file():
        return None
    with path.open("rb"):  # or raises: the program that reads it later could say so only of a failed image
        return Tarball(path)


def _told(line: str) -> SandtopError | None:
    """The error that the last words of roottar are, if they are one."""
    try:
        data = json.loads(line)
    except ValueError:
        return None
    return from_wire(data) if isinstance(data, dict) else None  # pyright: ignore[reportUnknownArgumentType]
