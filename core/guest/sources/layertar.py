"""A program, ``python -m …sources.layertar FILE``: of the layers that FILE names it makes one tar for mksquashfs.

FILE is JSON: ``layers``, the lowest first, each with its ``path``, the ``digest`` that it is called by, and
``diff_id``, the digest of its tar; and ``folders``, paths where there is to be one. Each layer is read twice: once to
learn what counts in the end, and to compare the digest; then for the data of that. Nothing is ever unpacked on the
host. What is said of `roottar` holds here, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError
from sandtop.core.guest.sources.members import CHANGED, NOBODY_SAID, copy, write_folders
from sandtop.core.guest.sources.rootfs import MAX_BYTES, Root
from sandtop.core.guest.sources.roottar import main
from sandtop.core.guest.unpacking import plain
from sandtop.core.tar import writer
from sandtop.core.tar.fields import TarError
from sandtop.core.tar.reader import CHUNK, Reader

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import BinaryIO

    from sandtop.core.guest.sources.rootfs import Inode

_LARGE: Final = 32 << 20
"""Bytes of a layer that takes longer than a moment."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """``doing`` names it for messages: which of how many it is."""

    path: str
    digest: str
    diff_id: str
    doing: str


class _Hashed:
    """A stream whose bytes are hashed and counted on their way. Raises `ImageError` when there are too many."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self._left = MAX_BYTES

    def seekable(self) -> bool:
        return False

    def read(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._left -= len(data)
        if self._left < 0:
            raise ImageError(f"it comes to more than {MAX_BYTES >> 30} GiB")
        self._sha256.update(data)
        return data

    def digest(self) -> str:
        """The digest of the whole layer; what was not read yet is read."""
        while self.read(CHUNK):
            pass
        return f"sha256:{self._sha256.hexdigest()}"


def convert(path: str, out: BinaryIO) -> None:
    """Write to ``out`` what the layers that the file ``path`` names come to.

    Raises `ImageError`, which names the layer, for one that is damaged or refused, and OSError of ``out``.
    """
    with open(path, "rb") as file:
        order = json.load(file)
    count = len(order["layers"])
    layers = [
        _Layer(
            layer["path"],
            layer["digest"],
            layer["diff_id"],
            f"layer {number} of {count}, {layer['digest'][:19]}",
        )
        for number, layer in enumerate(order["layers"], 1)
    ]
    root, starts = Root(), list[int]()
    for layer in layers:
        _plan(layer, root, starts)
    for folder in order["folders"]:
        root.make_folder(os.fsencode(folder), NOBODY_SAID)
    if not root.top.entries:
        raise ImageError("there is no file in any of its layers")
    inodes = root.settle()
    needed = {bisect_right(starts, index) - 1 for index in inodes}
    write_folders(root, out)
    for number in sorted(needed):
        _copy(layers[number], inodes, out, starts[number])
    if inodes:
        raise ImageError(CHANGED)
    out.write(writer.END)
    out.flush()


def _plan(layer: _Layer, root: Root, starts: list[int]) -> None:
    """Put all members of the next layer in their places; ``starts`` gets the index of its first and of what follows."""
    root.next_layer()
    index = starts.pop() if starts else 0
    with _opened(layer, "reading") as stream:
        hashed = _Hashed(stream)
        reader = Reader(hashed)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        starts.append(index)
        for member in iter(reader.next, None):
            root.add(index, member)
            index += 1
        if (found := hashed.digest()) != layer.diff_id:
            raise ImageError(
                f"it is damaged: its digest is {found[:19]}…, and should be {layer.diff_id[:19]}…"
            )
    starts.append(index)


def _copy(layer: _Layer, inodes: dict[int, Inode], out: BinaryIO, first: int) -> None:
    with _opened(layer, "unpacking") as stream:
        copy(Reader(stream), inodes, out, first)


@contextmanager
def _opened(layer: _Layer, what: str) -> Generator[BinaryIO]:
    """The layer as a plain tar. Raises `ImageError`, which names the layer, for whatever is found wrong meanwhile."""
    try:
        with open(layer.path, "rb", buffering=0) as file, plain(file.fileno(), layer.doing) as stream:
            if os.fstat(file.fileno()).st_size >= _LARGE:
                sys.stderr.write(f"{what} {layer.doing}\n")  # whoever waits hears something now and then
                sys.stderr.flush()
            yield stream
    except FileNotFoundError as error:
        raise ImageError(f"{layer.doing}: it is gone") from error
    except TarError as error:
        raise ImageError(f"{layer.doing}: {error}") from error
    except ImageError as error:
        named = error.message.startswith(layer.doing)
        raise error if named else ImageError(f"{layer.doing}: {error.message}") from error


if __name__ == "__main__":
    sys.exit(main(convert))
