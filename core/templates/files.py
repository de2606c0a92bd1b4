"""A template's files: on disk, where they outlive the core, and sealed in memory, from where machines take them.

In memory for two reasons. A driver's program may open a memory file for writing even for a private mapping. One that a
hostile guest has taken over could then rewrite a file on disk, and with it every sandbox to come; a sealed memory file
(memfd_create(2), F_SEAL_WRITE) can be opened so, and mapped privately, and not be changed by anybody. And it is read
from the disk once in the life of a core, so all of its bytes are compared with what was built.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, cast

from sandtop.core.errors import StorageError, from_os_error
from sandtop.core.guest.store import MANIFEST, extents, read_json

if TYPE_CHECKING:
    from pathlib import Path

MEMORY: Final = "memory"
STATE: Final = "state"
OVERLAY: Final = "overlay.img"
FACTS: Final = "facts.json"
_CHUNK: Final = 1 << 20
_SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class Damaged(Exception):
    """The template's files are not what was built."""


def memory_file(size: int) -> int:
    """A descriptor of a new memory file of ``size`` bytes, all holes, that can be sealed."""
    descriptor = os.memfd_create("sandtop-template", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    return descriptor


def copy_holes(source: int, target: int) -> None:
    """Make the empty file ``target`` equal to ``source`` (descriptors), holes and all. Raises OSError."""
    os.ftruncate(target, os.fstat(source).st_size)
    for start, end in extents(source):
        for offset in range(start, end, _CHUNK):
            _write(target, os.pread(source, min(_CHUNK, end - offset), offset), offset)


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


@dataclass(frozen=True, slots=True)
class Loaded:
    """A template's files in memory: descriptors by name. Closed by `close`; what runs from them is not touched."""

    folder: Path
    descriptors: dict[str, int]
    _stamp: tuple[tuple[int, int, int], ...]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the template in ``folder`` and compare all of it with its manifest. Blocks for some tenths of a second.

        Raises `Damaged`, and `StorageError` when there is no memory for it.
        """
        manifest = read_json(folder / MANIFEST)
        with ExitStack() as stack:
            found: dict[str, int] = {}
            stamp = _stamp(folder)
            for name, recorded in manifest.items():
                facts = cast("list[object]", recorded) if isinstance(recorded, list) else [None, None]
                found[name] = _read(folder / name, facts[1])
                stack.callback(os.close, found[name])
            if not {MEMORY, STATE} <= found.keys() or stamp is None:
                raise Damaged("files are missing")
            stack.pop_all()
        return cls(folder, found, stamp)

    def unchanged(self) -> bool:
        """Whether the files on disk are still those that were read. A few microseconds."""
        return _stamp(self.folder) == self._stamp

    def close(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.popitem()[1])


def _stamp(folder: Path) -> tuple[tuple[int, int, int], ...] | None:
    try:
        found = [(folder / name).stat() for name in (MANIFEST, MEMORY, STATE)]
        if (folder / OVERLAY).exists():
            found.append((folder / OVERLAY).stat())
    except OSError:
        return None
    return tuple((facts.st_ino, facts.st_size, facts.st_mtime_ns) for facts in found)


def _read(path: Path, digest: object) -> int:
    """A sealed memory file with what is in ``path``. Raises `Damaged`, `StorageError`."""
    try:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Damaged(f"{path.name}: {error.strerror}") from error
    target = -1
    try:
        size = os.fstat(source).st_size
        target = memory_file(size)
        if _copy_digesting(source, target, size) != digest:
            raise Damaged(f"{path.name} is not what was built")
        fcntl.fcntl(target, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException as error:
        if target >= 0:
            os.close(target)
        if isinstance(error, OSError):
            if error.errno == errno.EIO:
                raise Damaged(f"{path.name}: {error.strerror}") from error
            raise from_os_error(error, "loading a template") from error
        raise
    finally:
        os.close(source)
    return target


def _copy_digesting(source: int, target: int, size: int) -> str:
    """Copy the data, not the holes; the digest of it as `digest_extents` computes it. Raises OSError."""
    state = hashlib.sha256(size.to_bytes(8, "big"))
    for start, end in extents(source):
        state.update(start.to_bytes(8, "big"))
        for offset in range(start, end, _CHUNK):
            data = os.pread(source, min(_CHUNK, end - offset), offset)
            state.update(data)
            _write(target, data, offset)
    return state.hexdigest()


def fill(source: int, path: Path) -> None:
    """Make the new file ``path`` equal to ``source``; there is none or all of it, whenever the core dies.

    Raises `StorageError`.
    """
    fresh = path.with_name(f"{path.name}.fresh")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_holes(source, descriptor)
        finally:
            os.close(descriptor)
        fresh.rename(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise from_os_error(error, "creating the overlay disk") from error


def forget(path: Path) -> None:
    """Remove a disk that `fill` made. Raises `StorageError`."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot remove {path}: {error.strerror}") from error
