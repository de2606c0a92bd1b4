"""Archives that ADD unpacks: the tars of the context, plain or compressed with gzip, bzip2 or xz. Blocking."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.errors import InvalidRequest
from sandtop.core.tar.reader import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    Opener = Callable[[str], BinaryIO]

_KINDS: Final[tuple[tuple[bytes, Opener], ...]] = (
    (b"\x1f\x8b", lambda path: cast("BinaryIO", gzip.GzipFile(path))),
    (b"BZh", lambda path: cast("BinaryIO", bz2.BZ2File(path))),
    (b"\xfd7zXZ\0", lambda path: cast("BinaryIO", lzma.LZMAFile(path))),  # noqa: SIM115 - whoever opens it closes it
)
_DAMAGED: Final = (OSError, EOFError, lzma.LZMAError, zlib.error)


def is_archive(path: str) -> bool:
    """Whether a file is a tar, which may be compressed."""
    try:
        with _opened(path) as file:
            block = file.read(tarfile.BLOCKSIZE)
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (*_DAMAGED, tarfile.HeaderError):
        return False
    return True


def plain(path: str) -> Iterator[bytes]:
    """What is in the archive, as a plain tar. Raises `InvalidRequest` for one that is damaged."""
    try:
        with _opened(path) as file:
            while data := file.read(CHUNK):
                yield data
    except _DAMAGED as error:
        raise InvalidRequest(f"{path} is damaged: {error}") from error


def _opened(path: str) -> BinaryIO:
    with open(path, "rb") as file:
        start = file.read(8)
    opener = next((opener for magic, opener in _KINDS if start.startswith(magic)), None)
    return open(path, "rb") if opener is None else opener(path)
