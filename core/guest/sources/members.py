"""The members of tars that make a root file system: those that count are written to one tar."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError
from sandtop.core.tar import writer
from sandtop.core.tar.fields import BLOCK
from sandtop.core.tar.reader import Kind, Member, Reader

if TYPE_CHECKING:
    from typing import BinaryIO

    from sandtop.core.guest.sources.rootfs import Inode, Root

_LAST_TIME: Final = ((1 << 32) - 1) * 10**9
NOBODY_SAID: Final = Member(b"", Kind.FOLDER, 0o755, 0, 0, 0, 0, 0, (), b"", (0, 0), {})
"""What a folder is like of which no member says it."""
CHANGED: Final = "it changed while it was read"


def write_folders(root: Root, out: BinaryIO) -> None:
    """Write all folders of ``root``, each after the one that it is in."""
    for folder in root.folders():
        if folder.above is not None:
            like = folder.member or NOBODY_SAID
            out.write(writer.header(_fitting(like, folder.path() + b"/"), size=0))


def copy(reader: Reader, inodes: dict[int, Inode], out: BinaryIO, first: int = 0) -> int:
    """Write those of the members that count, under the names that they have.

    ``inodes`` are by the index of their member, and the reader's first member has the index ``first``. Returns the
    index after its last. What was written is no more in ``inodes``.
    """
    index = first
    while (member := reader.next()) is not None:
        inode = inodes.pop(index, None)
        index += 1
        if inode is None:
            continue
        if member.kind is not inode.kind:
            raise ImageError(CHANGED)
        name, *others = inode.paths()
        _write(reader, _fitting(member, name), out)
        for other_name in others:
            other = _fitting(member, other_name)
            if member.kind is Kind.FILE:
                other = replace(other, kind=Kind.HARD_LINK, target=name, attributes={})
            out.write(writer.header(other, size=0))
    return index


def _fitting(member: Member, name: bytes) -> Member:
    """``member`` under its name in the image, with a time that squashfs has room for."""
    return replace(member, name=name, mtime=min(max(member.mtime, 0), _LAST_TIME))


def _write(reader: Reader, member: Member, out: BinaryIO) -> None:
    if member.kind is not Kind.FILE:
        out.write(writer.header(member, size=0))
        return
    head = b""
    records: dict[bytes, bytes] = {}
    blocks = _blocks(member) if member.stored < member.size else [(0, member.size)]
    stored = sum(end - start for start, end in blocks)
    if stored < member.size:
        pieces = tuple((start, end - start) for start, end in blocks)
        head, records = writer.sparse_map(replace(member, pieces=pieces))
    size = len(head) + stored
    out.write(writer.header(member, size=size, records=records) + head)
    zeros = _zeros(member, blocks)
    zeros.reverse()
    for offset, data in reader.content():
        while zeros and zeros[-1][0] < offset:
            out.write(bytes(zeros.pop()[1]))
        out.write(data)
    for _, length in reversed(zeros):
        out.write(bytes(length))
    out.write(writer.padding(size))


def _blocks(member: Member) -> list[tuple[int, int]]:
    """Start and end of each run of whole blocks that a sparse file's data are in.

    mksquashfs 4.5.1 reads on at the wrong place behind a piece that is no whole blocks, behind a hole that ends inside
    of a block, and behind one piece alone that does. So it sees none of these: a few zeros are written out.
    """
    edge = member.size - member.size % BLOCK
    edges = [(offset - offset % BLOCK, offset + length) for offset, length in member.pieces]
    found = list[tuple[int, int]]()
    for start, end in (*edges, *([(edge, member.size)] if edge < member.size else [])):
        end = min(end + -end % BLOCK, member.size)
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    if len(found) == 1 and edge < member.size:
        start, end = found[0]
        found = [(0, BLOCK), (start, end)] if start > BLOCK else [(0, end)]
    return found


def _zeros(member: Member, blocks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Offset and length of what is in ``blocks`` and has no data."""
    found = list[tuple[int, int]]()
    pieces = [*reversed(member.pieces)]
    for start, end in blocks:
        at = start
        while pieces and pieces[-1][0] < end:
            offset, length = pieces.pop()
            found.append((at, offset - at))
            at = offset + length
        found.append((at, end - at))
    return [(offset, length) for offset, length in found if length]
