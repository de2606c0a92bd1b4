"""Writing a member's header: ustar, with a pax header before it where that has no room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .fields import BLOCK
from .reader import Kind

if TYPE_CHECKING:
    from .reader import Member

END: Final = bytes(2 * BLOCK)
_TYPES: Final = {
    Kind.FILE: b"0",
    Kind.HARD_LINK: b"1",
    Kind.LINK: b"2",
    Kind.CHARACTER: b"3",
    Kind.BLOCK: b"4",
    Kind.FOLDER: b"5",
    Kind.FIFO: b"6",
}
_OCTAL_7: Final = 0o7777777
_OCTAL_11: Final = 0o77777777777


def header(member: Member, *, size: int, records: dict[bytes, bytes] | None = None) -> bytes:
    """The blocks before the ``size`` bytes of data of ``member``. ``records`` are more of the pax header.

    Times are whole seconds; ``member`` has none before 1970.
    """
    seconds = member.mtime // 10**9
    extra = {**member.attributes, **(records or {})}
    if len(member.name) > 100:
        extra[b"path"] = member.name
    if len(member.target) > 100:
        extra[b"linkpath"] = member.target
    for keyword, value, most in (
        (b"size", size, _OCTAL_11),
        (b"mtime", seconds, _OCTAL_11),
        (b"uid", member.uid, _OCTAL_7),
        (b"gid", member.gid, _OCTAL_7),
    ):
        if value > most:
            extra[keyword] = b"%d" % value
    block = b"".join(
        (
            member.name[:100].ljust(100, b"\0"),
            b"%07o\0%07o\0%07o\0" % (member.mode, min(member.uid, _OCTAL_7), min(member.gid, _OCTAL_7)),
            b"%011o\0%011o\0" % (min(size, _OCTAL_11), min(seconds, _OCTAL_11)),
            b" " * 8,
            _TYPES[member.kind],
            member.target[:100].ljust(100, b"\0"),
            b"ustar\00000".ljust(72, b"\0"),
            b"%07o\0%07o\0" % member.device,
        )
    ).ljust(BLOCK, b"\0")
    return (_pax(extra) if extra else b"") + _summed(block)


def padding(size: int) -> bytes:
    """What fills the last block of ``size`` bytes of data."""
    return bytes(-size % BLOCK)


def sparse_map(member: Member) -> tuple[bytes, dict[bytes, bytes]]:
    """What begins the data of a sparse member (GNU's format 1.0), and its records of the pax header."""
    pieces = [*member.pieces]
    if not pieces or sum(pieces[-1]) < member.size:
        pieces.append((member.size, 0))
    numbers = [len(pieces), *(number for piece in pieces for number in piece)]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + padding(len(text)), {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": member.name,
        b"GNU.sparse.realsize": b"%d" % member.size,
    }


def _pax(records: dict[bytes, bytes]) -> bytes:
    data = b"".join(_record(keyword, value) for keyword, value in records.items())
    block = b"".join(
        (
            b"PaxHeader".ljust(100, b"\0"),
            b"0000644\0" + 2 * b"0000000\0",
            b"%011o\0%011o\0" % (len(data), 0),
            b" " * 8,
            b"x".ljust(101, b"\0"),
            b"ustar\00000",
        )
    ).ljust(BLOCK, b"\0")
    return _summed(block) + data + padding(len(data))


def _record(keyword: bytes, value: bytes) -> bytes:
    body = b" %s=%s\n" % (keyword, value)
    length = len(body)
    while len(text := b"%d%s" % (length, body)) != length:
        length = len(text)
    return text


def _summed(block: bytes) -> bytes:
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
