"""The disk that a sandbox's writes go to: a sparse ext4, copied from a blank one of its size."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import AlreadyExists, InvalidRequest, from_os_error
from sandtop.core.guest.store import Shelf, digest_of, extents
from sandtop.core.guest.tools import Progress, run

if TYPE_CHECKING:
    from pathlib import Path

MINIMUM_SIZE: Final = 32 << 20
"""Bytes. A smaller ext4 has no room for a journal."""

_MAKE: Final = (
    # root inside is the only user: no blocks kept back for it
    "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-e", "remount-ro",
)  # fmt: skip
# Tables are written when they are first used.
_LAZY: Final = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
# With a journal, which costs a start nothing (the kernel replays it in milliseconds) where the disk of a killed machine
# would otherwise need e2fsck. A small one: its blocks are written over and over, and what is written stays allocated.
# When the kernel grows a file system, all the blocks that are kept for its table of groups have to fit a quarter of the
# journal (fs/ext4/resize.c, ext4_flex_group_add): so a small disk keeps those for 1 TiB alone, 127 of them.
_SMALL: Final = ("-J", "size=4", "-E", f"{_LAZY},resize={1 << 28}")
_LARGE: Final = ("-J", "size=32", "-E", _LAZY)
_LARGE_FROM: Final = 1 << 39
RECIPE: Final = digest_of("1", *_MAKE, *_SMALL, *_LARGE)
"""Names how blank disks are made."""

_FICLONE: Final = 0x40049409  # linux/fs.h; not in fcntl before Python 3.12
_NAME: Final = "disk.ext4"
_PIECE: Final = 1 << 20


def options(size: int) -> list[str]:
    """The options of mke2fs for a disk of ``size`` bytes: room in its tables to grow, and its journal."""
    return list(_SMALL if size < _LARGE_FROM else _LARGE)


def shelf(cache: Path) -> Shelf:
    """Where blank disks are kept, one for each size in use."""
    return Shelf(cache / "blanks", "blank overlay disk", keep=16)


def create(cache: Path, path: Path, size: int, progress: Progress) -> None:
    """Make the file ``path``: an empty overlay disk that can hold ``size`` bytes and takes next to none yet.

    Raises `InvalidRequest` for a size below `MINIMUM_SIZE`, `AlreadyExists`, `MissingDependency`, `StorageError`.
    """
    if size < MINIMUM_SIZE:
        raise InvalidRequest(
            f"a disk of {size} bytes is too small", hint=f"give it at least {MINIMUM_SIZE >> 20} MiB"
        )
    blank = _blank(cache, size, progress)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise AlreadyExists(f"{path} exists") from error
    except OSError as error:
        raise from_os_error(error, "creating the overlay disk") from error
    try:
        with blank.open("rb") as source:
            copy_sparse(source.fileno(), descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise from_os_error(error, "creating the overlay disk") from error
    finally:
        os.close(descriptor)


def copy_sparse(source: int, target: int) -> None:
    """Make the empty file ``target`` equal to ``source`` (descriptors): shared blocks where the file system can
    share them, otherwise the data without the holes. Raises OSError."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
        return
    except OSError:  # another file system, or one that cannot: then the bytes are copied
        os.ftruncate(target, os.fstat(source).st_size)
    for start, end in extents(source):
        offset = start
        while offset < end:
            offset += _copy_piece(source, target, offset, end - offset)


def _copy_piece(source: int, target: int, offset: int, size: int) -> int:
    """Copy up to ``size`` bytes at ``offset``; how many. Within one file system the kernel does it alone."""
    try:
        return os.copy_file_range(source, target, size, offset, offset)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EOPNOTSUPP):
            raise
    return os.pwrite(target, os.pread(source, min(size, _PIECE), offset), offset)


def _blank(cache: Path, size: int, progress: Progress) -> Path:
    key = digest_of(RECIPE, str(size))[:32]
    place = shelf(cache)
    found = place.find(key)
    if found is not None:
        return found / _NAME

    def make(folder: Path) -> None:
        blank = folder / _NAME
        with blank.open("wb") as file:
            file.truncate(size)
        run([*_MAKE, *options(size), blank], "making an overlay disk", timeout=60)

    return place.build(key, make, progress) / _NAME
