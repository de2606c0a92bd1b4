"""What images are made from: a module for each source, and `pick`, which finds the one for a path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from sandtop.core.errors import InvalidRequest
from sandtop.core.guest.sources import folder, tarball
from sandtop.core.guest.sources.debian import Debian
from sandtop.core.guest.sources.layered import Layer, Layered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandtop.core.guest.tools import Progress

__all__ = ["Debian", "Layer", "Layered", "Source", "pick"]


class Source(Protocol):
    """Something that images can be made from."""

    @property
    def description(self) -> str:
        """Where the files come from, for people: `Image.source`, a line of text."""
        ...

    def write(self, out: Path, scratch: Path, progress: Progress) -> None:
        """Make the file ``out`` a squashfs of the root file system, by a function of `squashfs`.

        Args:
            out: is not there yet, and belongs to whoever calls: what a failed attempt leaves, that removes.
            scratch: an empty folder on the disk of the images, removed afterwards.
            progress: gets a line for each step that takes long; whoever calls puts the image's name before it.

        Raises:
            InvalidRequest: the source is not what an image can be made from.
            ImageError: it is damaged, cannot be reached, or is refused; the message names the source and what in it.
            MissingDependency: a program that it needs is not installed.
            StorageError: the disk is full.
        """
        ...


_OF_A_PATH: Final[tuple[Callable[[Path], Source | None], ...]] = (folder.recognize, tarball.recognize)
"""What makes a source of a path of the host: the first that recognizes what is there makes it."""


def pick(path: Path) -> Source:
    """The source for what is at ``path``.

    Raises `InvalidRequest` when there is none, when it refuses what is there, or when that may not be read.
    """
    try:
        found = (recognize(path) for recognize in _OF_A_PATH)
        source = next((source for source in found if source is not None), None)
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from error
    if source is None:
        try:
            path.lstat()  # since Python 3.14 whatever asks whether it exists says no of what may not be looked at
        except FileNotFoundError as error:
            raise InvalidRequest(f"{path} is not there") from error
        except OSError as error:
            raise InvalidRequest(f"cannot read {path}: {error.strerror}") from error
        raise InvalidRequest(f"{path} is neither a folder nor a tar file")
    return source
