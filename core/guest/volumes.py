"""Volumes: disks with a name that outlive the sandboxes which mount them.

Each is a folder with a sparse file, an ext4 from the shelf of blank disks. What guests have written in it since is
never mounted, checked or parsed by the host: a guest's kernel, and the e2fsck in a guest, are all that reads it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import AlreadyExists, InvalidRequest, NotFound, from_os_error
from sandtop.core.guest import overlay

if TYPE_CHECKING:
    from sandtop.core.guest.tools import Progress

NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}\Z")
"""Docker's names of volumes, no longer than a file's name can be."""
_DISK: Final = "disk.img"
_MAKING: Final = ".making-"
_BLOCK: Final = 512
_TAKEN: Final = (errno.ENOTEMPTY, errno.EEXIST)


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume.

    Attributes:
        size: bytes that it can hold.
        used: bytes that it takes on the host.
        created_at: seconds since the epoch.
        disk: its file.
    """

    name: str
    size: int
    used: int
    created_at: float
    disk: Path


def check_name(name: str) -> None:
    """Raises `InvalidRequest` for what can be no volume's name."""
    if not NAME.match(name):
        raise InvalidRequest(
            f"{name!r:.80} cannot be a volume's name",
            hint="use 1 to 64 of a-z, A-Z, 0-9, _, . and -, beginning with a letter or a digit",
        )


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes in ``folder``; ``cache`` has blank disks. All methods block, and raise `StorageError`, too."""

    folder: Path
    cache: Path

    def all(self) -> list[Volume]:
        """Every volume, by name."""
        try:
            names = sorted(name for name in os.listdir(self.folder) if NAME.match(name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise from_os_error(error, "listing the volumes") from error
        return [found for name in names if (found := self._find(name)) is not None]

    def get(self, name: str) -> Volume:
        """The volume ``name``. Raises `NotFound`, `InvalidRequest`."""
        check_name(name)
        found = self._find(name)
        if found is None:
            raise NotFound(f"there is no volume named {name}", hint="sandtop volume ls lists them")
        return found

    def disk(self, name: str) -> Path:
        """Where the file of the volume ``name`` is, or would be."""
        return self.folder / name / _DISK

    def _find(self, name: str) -> Volume | None:
        folder = self.folder / name
        try:
            facts, made = (folder / _DISK).stat(), folder.stat()
        except OSError:
            return None
        return Volume(name, facts.st_size, facts.st_blocks * _BLOCK, made.st_mtime, folder / _DISK)

    def create(self, name: str, size: int, progress: Progress) -> Volume:
        """Make the volume ``name`` of so many bytes. Raises `AlreadyExists`, `InvalidRequest`, `MissingDependency`."""
        check_name(name)
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=self.folder))
        except OSError as error:
            raise from_os_error(error, f"making the volume {name}") from error
        try:
            overlay.create(self.cache, making / _DISK, size, progress)
            os.rename(making, self.folder / name)  # an empty folder in its place is replaced, a volume is not
        except OSError as error:
            if error.errno in _TAKEN:
                raise AlreadyExists(f"there is a volume named {name} already") from error
            raise from_os_error(error, f"making the volume {name}") from error
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return self.get(name)

    def remove(self, name: str) -> int:
        """Remove the volume ``name`` with all that is in it; the bytes that are free now. Raises `NotFound`."""
        volume = self.get(name)
        try:
            volume.disk.unlink()
            volume.disk.parent.rmdir()
        except OSError as error:
            raise from_os_error(error, f"removing the volume {name}") from error
        return volume.used

    def sweep(self) -> None:
        """Remove what a core left that was killed while it made one."""
        for left in self.folder.glob(f"{_MAKING}*"):
            shutil.rmtree(left, ignore_errors=True)
