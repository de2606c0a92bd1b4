"""What holds an image in files: a folder, or a tar that was indexed. Only regular files below it can be read."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from sandtop.core.errors import ImageError, InvalidRequest
from sandtop.core.guest.containers.documents import MAX_DOCUMENT
from sandtop.core.guest.unpacking import is_packed, plain
from sandtop.core.tar.fields import TarError, shown
from sandtop.core.tar.reader import CHUNK, Kind, Reader

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from typing import BinaryIO

_MAX_MEMBERS: Final = 20_000
"""Members of an archive: some hundred images, each of MAX_LAYERS layers and a folder for each."""
_RESERVE: Final = 64 << 20
"""Bytes that unpacking an archive leaves free on the disk."""


class Bundle(Protocol):
    """Files by their names, as ``blobs/sha256/…``."""

    def has(self, name: str) -> bool: ...

    def opened(self, name: str) -> contextlib.AbstractContextManager[tuple[BinaryIO, int]]:
        """The file at its beginning, and its size. Raises `ImageError` when it is not there."""
        ...


def document(bundle: Bundle, name: str, doing: str) -> bytes:
    """All of a small file. Raises `ImageError`."""
    with bundle.opened(name) as (file, size):
        if size > MAX_DOCUMENT:
            raise ImageError(f"{doing}: {name:.80} has more than {MAX_DOCUMENT >> 20} MiB")
        return file.read(size)


@dataclass(frozen=True, slots=True)
class Folder:
    """An OCI layout in the folder ``root``."""

    root: Path

    def has(self, name: str) -> bool:
        return (self.root / name).is_file()

    @contextlib.contextmanager
    def opened(self, name: str) -> Generator[tuple[BinaryIO, int]]:
        path = self.root / name
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise ImageError(f"{self.root}: {name[:80]!r} leads out of it")
        if not path.is_file():
            raise ImageError(f"{self.root}: {name[:80]!r} is not in it")
        with path.open("rb") as file:
            yield file, os.fstat(file.fileno()).st_size


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar that can be sought in, and where its members are.

    Attributes:
        files: offset and size of each.
        links: what symbolic links are of; old archives of docker save have them for layers that they have twice.
    """

    path: str
    tar: BinaryIO
    files: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    links: dict[str, str] = field(default_factory=dict[str, str])

    def has(self, name: str) -> bool:
        return self._true(name) in self.files

    @contextlib.contextmanager
    def opened(self, name: str) -> Generator[tuple[BinaryIO, int]]:
        place = self.files.get(self._true(name))
        if place is None:
            target = self.links.get(os.path.normpath(name))
            what = "is not in it" if target is None else f"is a link to {target[:80]!r}, which is not in it"
            raise ImageError(f"{self.path}: {name[:80]!r} {what}")
        offset, size = place
        self.tar.seek(offset)
        yield self.tar, size

    def _true(self, name: str) -> str:
        name = os.path.normpath(name)
        target = self.links.get(name)
        return name if target is None else os.path.normpath(os.path.join(os.path.dirname(name), target))


@contextlib.contextmanager
def opened(path: Path, scratch: Path) -> Generator[Bundle]:
    """What is at ``path``: a folder or a tar, which is unpacked into ``scratch`` where it is compressed.

    Raises `InvalidRequest` for what is neither, `ImageError` for one that is damaged or refused.
    """
    if path.is_dir():
        yield Folder(path)
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from error
    with file:
        if not path.is_file():
            raise InvalidRequest(f"{path} is neither a file nor a folder")
        if not is_packed(os.pread(file.fileno(), 8, 0)):
            yield _indexed(str(path), file)
            return
        with (scratch / "archive.tar").open("w+b") as tar:
            _unpack(file, tar, str(path))
            tar.seek(0)
            yield _indexed(str(path), tar)


def _unpack(packed: BinaryIO, tar: BinaryIO, path: str) -> None:
    """Raises `ImageError` before the disk is full."""
    left = shutil.disk_usage(tar.fileno()).free - _RESERVE
    with plain(packed.fileno(), f"reading {path}") as stream:
        while data := stream.read(CHUNK):
            left -= len(data)
            if left < 0:
                raise ImageError(f"{path}: it is larger, unpacked, than there is room on the disk")
            tar.write(data)
    tar.flush()


def _indexed(path: str, tar: BinaryIO) -> Archive:
    archive = Archive(path, tar)
    reader = Reader(tar)
    count = 0
    try:
        for member in iter(reader.next, None):
            count += 1
            if count > _MAX_MEMBERS:
                raise ImageError(f"{path}: more than {_MAX_MEMBERS:,} members: that is no image")
            parts = member.name.split(b"/")
            if b".." in parts or member.name.startswith(b"/"):
                raise ImageError(f"{path}: {shown(member.name)}: a name that leads out of it")
            name = os.path.normpath(os.fsdecode(member.name))
            if member.kind is Kind.FILE:
                if member.stored != member.size:
                    raise ImageError(f"{path}: {shown(member.name)}: a sparse file")
                archive.files[name] = tar.tell(), member.size
            elif member.kind is Kind.LINK:
                archive.links[name] = os.fsdecode(member.target)
            elif member.kind is not Kind.FOLDER:
                raise ImageError(f"{path}: {shown(member.name)}: {member.kind.value}")
    except TarError as error:
        if not count:
            raise InvalidRequest(f"{path} is not a tar file: {error}") from error
        raise ImageError(f"{path}: {error}") from error
    return archive
