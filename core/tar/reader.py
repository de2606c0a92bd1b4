"""A tar stream, member by member, from anything that can be read: ustar, pax and GNU forms. Blocking.

Never holds more than one header (`MAX_EXTENSIONS`), one map of a sparse file and one chunk of data, whatever the stream
claims; and reads on with every step, so that a stream that ends ends it too.
"""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from . import fields
from .fields import BLOCK, TarError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from .fields import Pieces

CHUNK: Final = 256 * 1024
MAX_EXTENSIONS: Final = 1 << 20
"""Bytes of extension headers, of any kind and together, that one member may have before it."""
MAX_NAME: Final = 4096
"""Bytes of a member's name, and of a link's target: PATH_MAX of Linux."""
_ATTRIBUTES: Final = (b"SCHILY.xattr.", b"LIBARCHIVE.xattr.")
_GLOBAL: Final = frozenset((b"mtime", b"uid", b"gid"))
"""What a global header may set for all that follow; of names, sizes and maps that makes no sense."""
_KNOWN: Final = frozenset((b"path", b"linkpath", b"size", b"mtime", b"uid", b"gid"))
_SPARSE: Final = b"GNU.sparse."
_EXTENSIONS: Final = b"xXgLKV"


class Kind(enum.Enum):
    """What a member is."""

    FILE = "a file"
    FOLDER = "a folder"
    LINK = "a symbolic link"
    HARD_LINK = "a hard link"
    FIFO = "a FIFO"
    CHARACTER = "a character device"
    BLOCK = "a block device"
    OTHER = "of an unknown kind"


_KINDS: Final = {
    **dict.fromkeys(b"0\x007S", Kind.FILE),
    ord("1"): Kind.HARD_LINK,
    ord("2"): Kind.LINK,
    ord("3"): Kind.CHARACTER,
    ord("4"): Kind.BLOCK,
    ord("5"): Kind.FOLDER,
    ord("6"): Kind.FIFO,
}


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: as it stands there: not checked but for its length and that it has no NUL.
        target: what a link says, likewise.
        mode: twelve bits.
        mtime: nanoseconds since 1970.
        size: of a file, holes included.
        stored: bytes of it that the archive has.
        pieces: where they belong.
        device: major and minor number.
        attributes: extended attributes, as the pax records that hold them.
    """

    name: bytes
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    stored: int
    pieces: Pieces
    target: bytes
    device: tuple[int, int]
    attributes: dict[bytes, bytes]


@dataclass(slots=True)
class _Extra:
    """What the extension headers before a member said of it."""

    taken: int = 0
    records: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    attributes: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    map: list[bytes] = field(default_factory=list[bytes])

    def take(self, count: int) -> None:
        self.taken += count
        if self.taken > MAX_EXTENSIONS:
            raise TarError(f"more than {MAX_EXTENSIONS >> 10} KiB of extension headers before one member")

    def add(self, keyword: bytes, value: bytes) -> None:
        if keyword in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            self.map.append(value)
        elif keyword in _KNOWN or keyword.startswith(_SPARSE):
            if value:
                self.records[keyword] = value
            else:
                self.records.pop(keyword, None)  # as POSIX has it: what the header itself says
        elif keyword.startswith(_ATTRIBUTES):
            self.attributes[keyword] = value


class Reader:
    """The members of ``stream``. Its ``read`` may return less than it is asked for, and nothing only at the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._seekable = stream.seekable()
        self._left = 0
        self._padding = 0
        self._pieces: Pieces = ()
        self._global: dict[bytes, bytes] = {}
        self._last: bytes | None = None

    def next(self) -> Member | None:
        """The next member, passing over what was not read of the one before; None at the end mark.

        Raises `TarError`, also when the stream has no end mark.
        """
        self._skip(self._left + self._padding)
        self._left = self._padding = 0
        extra = _Extra()
        while True:
            block = self._read(BLOCK)
            if block.count(0) == BLOCK:
                if extra.taken:
                    raise TarError(f"an extension header without a member{self._at}")
                return None
            if not fields.is_header(block):
                raise TarError("not a tar archive" if self._last is None else f"a damaged header{self._at}")
            if block[156] not in _EXTENSIONS:
                return self._member(block, extra)
            self._extension(block, extra)

    def content(self) -> Iterator[tuple[int, bytes]]:
        """The data of the member that `next` gave last, in pieces of at most `CHUNK`, and where each belongs."""
        for start, length in self._pieces:
            offset, end = start, start + length
            while offset < end:
                data = self._stream.read(min(end - offset, CHUNK))
                if not data:
                    raise TarError(f"it ends in the middle{self._at}")
                self._left -= len(data)
                yield offset, data
                offset += len(data)

    @property
    def _at(self) -> str:
        """Where we are, for a message."""
        return "" if self._last is None else f", at {fields.shown(self._last)}"

    def _read(self, count: int) -> bytes:
        data = self._stream.read(count)
        while len(data) < count:
            more = self._stream.read(count - len(data))
            if not more:
                raise TarError(f"it ends in the middle{self._at}" if self._at or data else "it is empty")
            data += more
        return data

    def _skip(self, count: int) -> None:
        if self._seekable and count > CHUNK:
            # an end that comes too early shows at the next header
            try:
                self._stream.seek(count, os.SEEK_CUR)
            except (OSError, OverflowError):
                raise TarError(f"it ends in the middle{self._at}") from None
            return
        while count:
            data = self._stream.read(min(count, CHUNK))
            if not data:
                raise TarError(f"it ends in the middle{self._at}")
            count -= len(data)

    def _extension(self, block: bytes, extra: _Extra) -> None:
        kind, length = block[156], fields.size(block[124:136])
        if kind == ord("V"):  # the label of a volume has no data and says nothing of files
            extra.take(BLOCK)
            return
        extra.take(BLOCK + length)
        data = self._read(length + -length % BLOCK)[:length]
        if kind in b"LK":
            extra.records[b"path" if kind == ord("L") else b"linkpath"] = data.partition(b"\0")[0]
            return
        for keyword, value in fields.records(data):
            if kind != ord("g"):
                extra.add(keyword, value)
            elif keyword in _GLOBAL:
                self._global[keyword] = value
            elif keyword in _KNOWN or keyword.startswith(_SPARSE):
                raise TarError(f"a global header that sets {fields.shown(keyword)}")

    def _member(self, block: bytes, extra: _Extra) -> Member:
        records = {**self._global, **extra.records}
        name = _name(records.get(b"GNU.sparse.name") or records.get(b"path") or _name_field(block))
        self._last = name
        kind = _KINDS.get(block[156], Kind.OTHER)
        stored = size = 0
        pieces: Pieces = ()
        if kind in (Kind.FILE, Kind.OTHER):
            size = stored = self._left = _decimal(records, b"size", block[124:136])
            self._padding = -stored % BLOCK
            pieces = ((0, size),) if size else ()
            if block[156] == ord("S") or any(keyword.startswith(_SPARSE) for keyword in records) or extra.map:
                size, pieces = self._sparse(block, records, extra)
        if kind is Kind.FILE and name.endswith(b"/"):
            kind = Kind.FOLDER  # as programs older than POSIX said it
        self._pieces = pieces
        mtime = records.get(b"mtime")
        return Member(
            name=name,
            kind=kind,
            mode=fields.number(block[100:108]) & 0o7777,
            uid=_decimal(records, b"uid", block[108:116]),
            gid=_decimal(records, b"gid", block[116:124]),
            mtime=fields.nanoseconds(mtime) if mtime else fields.number(block[136:148]) * 10**9,
            size=size,
            stored=sum(length for _, length in pieces),
            pieces=pieces,
            target=_name(records.get(b"linkpath") or block[157:257].partition(b"\0")[0]),
            device=_device(block, kind),
            attributes=extra.attributes,
        )

    def _sparse(self, block: bytes, records: dict[bytes, bytes], extra: _Extra) -> tuple[int, Pieces]:
        """The true size of a sparse file, and where its pieces belong."""
        if block[156] == ord("S"):
            return self._old_sparse(block, extra)
        if b"GNU.sparse.major" in records:
            version = records[b"GNU.sparse.major"], records.get(b"GNU.sparse.minor")
            if version != (b"1", b"0"):
                raise TarError(f"a sparse file in a form that is not known{self._at}")
            whole = fields.decimal(records.get(b"GNU.sparse.realsize", b""))
            pieces, taken = fields.leading_map(lambda: self._read(BLOCK), self._left)
            self._left -= taken
            return whole, fields.checked(pieces, whole, self._left)
        texts = extra.map or records.get(b"GNU.sparse.map", b"").split(b",")
        if len(texts) % 2:
            raise TarError("a sparse file whose map is odd")
        numbers = [fields.decimal(text) for text in texts]
        whole = fields.decimal(records.get(b"GNU.sparse.size", b""))
        return whole, fields.checked(list(zip(numbers[::2], numbers[1::2], strict=True)), whole, self._left)

    def _old_sparse(self, block: bytes, extra: _Extra) -> tuple[int, Pieces]:
        whole = fields.size(block[483:495])
        pieces = list(fields.struct_map(block[386:482]))
        more = block[482]
        while more:
            extra.take(BLOCK)
            block = self._read(BLOCK)
            pieces += fields.struct_map(block[:504])
            more = block[504]
        return whole, fields.checked(pieces, whole, self._left)


def _name(text: bytes) -> bytes:
    if len(text) > MAX_NAME:
        raise TarError(f"a name of {len(text)} bytes: {fields.shown(text)}")
    if b"\0" in text:
        raise TarError(f"a name with a NUL in it: {fields.shown(text)}")
    return text


def _name_field(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    if block[257:265] != b"ustar\00000":
        return name  # GNU's has other things where ustar has the first part of a long name
    prefix = block[345 : 476 if block[508:512] == b"tar\0" else 500].partition(b"\0")[0]
    return prefix + b"/" + name if prefix else name


def _decimal(records: dict[bytes, bytes], keyword: bytes, otherwise: bytes) -> int:
    text = records.get(keyword)
    return fields.size(otherwise) if text is None else fields.decimal(text)


def _device(block: bytes, kind: Kind) -> tuple[int, int]:
    if kind not in (Kind.CHARACTER, Kind.BLOCK):
        return 0, 0
    return fields.number(block[329:337]), fields.number(block[337:345])
