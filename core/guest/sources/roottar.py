"""A program, ``python -m …sources.roottar FILE``: of the tar FILE it makes one that mksquashfs reads rightly.

mksquashfs reads tars in its own way: of two members of one name the first counts, names do not lead through links, a
hard link to nothing is left out. What comes out of here has every name once, and leaves it no choice. A process of its
own: reading headers by the hundred thousand would hold up the core. What goes wrong is one line of JSON on stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError, InvalidRequest, SandtopError, from_os_error
from sandtop.core.guest.sources.members import CHANGED, copy, write_folders
from sandtop.core.guest.sources.refusals import MANIFEST, refuse_layers
from sandtop.core.guest.sources.rootfs import Root
from sandtop.core.guest.unpacking import plain
from sandtop.core.tar import writer
from sandtop.core.tar.fields import TarError
from sandtop.core.tar.reader import Kind, Reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

_NO_TAR: Final = "give a folder, or a tar, tar.gz, tar.xz or tar.zst"
_READER_GONE: Final = 128 + signal.SIGPIPE


def convert(path: str, out: BinaryIO) -> None:
    """Write to ``out`` what the tar at ``path`` comes to.

    Raises `InvalidRequest` for what is no root file system, `ImageError` for one that is damaged, OSError of ``out``.
    """
    doing = f"reading {path}"
    try:
        with open(path, "rb", buffering=0) as file:
            root = Root()
            _plan(path, file.fileno(), root, doing)
            inodes = root.settle()
            if not root.top.entries:
                raise InvalidRequest(f"{path} is empty")
            write_folders(root, out)
            with plain(file.fileno(), doing) as stream:
                copy(Reader(stream), inodes, out)
            if inodes:
                raise ImageError(CHANGED)
            out.write(writer.END)
            out.flush()
    except TarError as error:
        raise ImageError(f"{doing}: {error}") from error
    except ImageError as error:
        raise error if error.message.startswith(doing) else ImageError(f"{doing}: {error}") from error


def _plan(path: str, fd: int, root: Root, doing: str) -> None:
    """Put all members in their places."""
    manifest = b""
    with plain(fd, doing) as stream:
        reader = Reader(stream)
        index = 0
        try:
            member = reader.next()
        except TarError as error:
            raise InvalidRequest(f"{path} is not a tar file: {error}", hint=_NO_TAR) from error
        while member is not None:
            root.add(index, member)
            if member.kind is Kind.FILE and member.name in (b"manifest.json", b"./manifest.json"):
                manifest = b"".join(data for _, data in reader.content()) if member.size <= MANIFEST else b""
            member = reader.next()
            index += 1
    refuse_layers(path, {os.fsdecode(name) for name in root.top.entries}, manifest)


def main(make: Callable[[str, BinaryIO], None]) -> int:
    """What the program exits with, after ``make`` has written what the file that its argument names comes to."""
    (path,) = sys.argv[1:]
    try:
        make(path, sys.stdout.buffer)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would try again, and say so
        return _READER_GONE
    except SandtopError as error:
        return _fail(error)
    except OSError as error:
        return _fail(from_os_error(error, f"reading {path}"))
    return 0


def _fail(error: SandtopError) -> int:
    sys.stderr.write(json.dumps(error.to_wire()) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(convert))
