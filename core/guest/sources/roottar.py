"""A program, ``python -m …sources.roottar FILE``: of the tar FILE it makes one that mksquashfs reads rightly.

mksquashfs reads tars in its own way: of two members of one name the first counts, names do not lead through links, a
hard link to nothing is left out. What comes out of here has every name once, and leaves it no choice. A process of its
own: reading headers by the hundred thousand would hold up the core. What goes wrong is one line of JSON on stderr.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.errors import ImageError, InvalidRequest, SandtopError, from_os_error
from sandtop.core.guest.sources.refusals import MANIFEST, refuse_layers
from sandtop.core.guest.sources.rootfs import Inode, Root
from sandtop.core.guest.tools import environment, failure, missing
from sandtop.core.tar import writer
from sandtop.core.tar.fields import TarError
from sandtop.core.tar.reader import CHUNK, Kind, Member, Reader

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import BinaryIO

# the first bytes of each kind of compressed tar, and what unpacks it
_UNPACKERS: Final = (
    (b"\x1f\x8b", ("gzip", "-dc")),
    (b"\xfd7zXZ\0", ("xz", "-dc")),
    (b"\x28\xb5\x2f\xfd", ("zstd", "-dcq")),
)
_NO_TAR: Final = "give a folder, or a tar, tar.gz, tar.xz or tar.zst"
_LAST_TIME: Final = ((1 << 32) - 1) * 10**9
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
            for folder in root.folders():
                if folder.above is not None:
                    like = folder.member or _NOBODY_SAID
                    out.write(writer.header(_fitting(like, folder.path() + b"/"), size=0))
            with _plain(file.fileno(), doing) as stream:
                _copy(Reader(stream), inodes, out)
            out.write(writer.END)
            out.flush()
    except TarError as error:
        raise ImageError(f"{doing}: {error}") from error
    except ImageError as error:
        raise error if error.message.startswith(doing) else ImageError(f"{doing}: {error}") from error


_NOBODY_SAID: Final = Member(b"", Kind.FOLDER, 0o755, 0, 0, 0, 0, 0, (), b"", (0, 0), {})


@contextmanager
def _plain(fd: int, doing: str) -> Generator[BinaryIO]:
    """The file ``fd`` as a plain tar, from its beginning.

    Raises `ImageError` when what unpacks it finds fault with it, whatever else went wrong.
    """
    os.lseek(fd, 0, os.SEEK_SET)
    start = os.pread(fd, 8, 0)
    command = next((command for magic, command in _UNPACKERS if start.startswith(magic)), None)
    if command is None:
        with open(fd, "rb", closefd=False) as file:
            yield file
        return
    try:
        process = subprocess.Popen(
            command, stdin=fd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
    except FileNotFoundError as error:
        raise missing(command[0]) from error
    with process, cast("BinaryIO", process.stdout) as stream, cast("BinaryIO", process.stderr) as heard:
        try:
            yield stream
            while stream.read(CHUNK):
                pass
        finally:
            stream.close()
            said = heard.read(1 << 16)
            status = process.wait()
            if status not in (0, -signal.SIGPIPE):
                raise failure(doing, command[0], status, said)


def _plan(path: str, fd: int, root: Root, doing: str) -> None:
    """Put all members in their places."""
    manifest = b""
    with _plain(fd, doing) as stream:
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


def _copy(reader: Reader, inodes: dict[int, Inode], out: BinaryIO) -> None:
    """Write the members that count, under the names that they have."""
    index = 0
    left = len(inodes)
    while (member := reader.next()) is not None:
        inode = inodes.get(index)
        index += 1
        if inode is None:
            continue
        if member.kind is not inode.kind:
            raise ImageError("it changed while it was read")
        first, *others = inode.paths()
        _write(reader, _fitting(member, first), out)
        for name in others:
            other = _fitting(member, name)
            if member.kind is Kind.FILE:
                other = replace(other, kind=Kind.HARD_LINK, target=first, attributes={})
            out.write(writer.header(other, size=0))
        left -= 1
    if left:
        raise ImageError("it changed while it was read")


def _fitting(member: Member, name: bytes) -> Member:
    """``member`` under its name in the image, with a time that squashfs has room for."""
    return replace(member, name=name, mtime=min(max(member.mtime, 0), _LAST_TIME))


def _write(reader: Reader, member: Member, out: BinaryIO) -> None:
    if member.kind is not Kind.FILE:
        out.write(writer.header(member, size=0))
        return
    head = b""
    records: dict[bytes, bytes] = {}
    if member.stored < member.size:
        head, records = writer.sparse_map(member)
    size = len(head) + member.stored
    out.write(writer.header(member, size=size, records=records) + head)
    for _, data in reader.content():
        out.write(data)
    out.write(writer.padding(size))


def main() -> int:
    """What the program exits with."""
    (path,) = sys.argv[1:]
    try:
        convert(path, sys.stdout.buffer)
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
    sys.exit(main())
