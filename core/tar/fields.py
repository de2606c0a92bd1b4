"""The parts of a tar header: numbers, checksums, pax records, maps of sparse files. Each raises `TarError` alone.

Layouts: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar's manual, "Basic Tar Format"
and "Storing Sparse Files".
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BLOCK: Final = 512
MAX_NUMBER: Final = (1 << 63) - 1
"""No size, offset or time is larger: off_t and time_t of Linux."""
MAX_PIECES: Final = 1 << 16
"""Pieces of data that a sparse file may have."""
_CHECKSUM: Final = slice(148, 156)
_SIGNED: Final = struct.Struct("148b8x356b")
_OCTAL: Final = re.compile(rb" *([0-7]*)[ \0]*")
_DECIMAL: Final = re.compile(rb"[0-9]{1,19}")
_TIME: Final = re.compile(rb"(-?)([0-9]{1,19})(?:\.([0-9]*))?")
_LENGTH: Final = re.compile(rb"([0-9]{1,7}) ")

Pieces = tuple[tuple[int, int], ...]
"""Where the data of a sparse file belongs: ``(offset, length)``, ascending; what is between them is a hole."""


class TarError(Exception):
    """What is read is no tar stream, ends early, or asks for more than any true one. ``str()`` says which."""


def number(field: bytes) -> int:
    """A numeric field: octal, or GNU's base 256 for what is too large for that."""
    if field[0] & 0x80:
        # the bit beside the mark is the sign
        value = int.from_bytes(
            field if field[0] & 0x40 else bytes([field[0] & 0x7F]) + field[1:], "big", signed=True
        )
    else:
        found = _OCTAL.fullmatch(field)
        if found is None:
            # what follows the first NUL is nothing, whatever it is
            found = _OCTAL.fullmatch(field.partition(b"\0")[0])
        if found is None:
            raise TarError("a header with a number that is none")
        value = int(found[1] or b"0", 8)
    if abs(value) > MAX_NUMBER:
        raise TarError("a header with a number beyond 64 bits")
    return value


def size(field: bytes) -> int:
    """As `number`, but none below 0."""
    value = number(field)
    if value < 0:
        raise TarError("a header with a size below 0")
    return value


def decimal(text: bytes) -> int:
    """A number of 0 or more as pax headers and maps of sparse files have it."""
    if _DECIMAL.fullmatch(text) is None or (value := int(text)) > MAX_NUMBER:
        raise TarError(f"{shown(text)} where a number belongs")
    return value


def nanoseconds(text: bytes) -> int:
    """A pax time, seconds since 1970 with a fraction, in nanoseconds."""
    found = _TIME.fullmatch(text)
    if found is None or int(found[2]) > MAX_NUMBER:
        raise TarError(f"{shown(text)} where a time belongs")
    value = int(found[2]) * 10**9 + int((found[3] or b"")[:9].ljust(9, b"0"))
    return -value if found[1] else value


def is_header(block: bytes) -> bool:
    """Whether the checksum is right, over unsigned bytes or, as some old programs had it, signed ones."""
    try:
        said = number(block[_CHECKSUM])
    except TarError:
        return False
    spaces = 8 * ord(" ")
    if said == sum(block) - sum(block[_CHECKSUM]) + spaces:
        return True
    return bool(said == sum(_SIGNED.unpack(block)) + spaces)


def records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The ``keyword=value`` records of a pax header."""
    at = 0
    while at < len(data):
        found = _LENGTH.match(data, at)
        end = at + int(found[1]) if found else 0
        if found is None or not found.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise TarError("a pax header whose records are damaged")
        keyword, equals, value = data[found.end() : end - 1].partition(b"=")
        if not keyword or not equals:
            raise TarError("a pax header with a record that has no keyword")
        yield keyword, value
        at = end


def checked(pieces: Sequence[tuple[int, int]], whole: int, stored: int) -> Pieces:
    """``pieces`` when they are in order, inside a file of ``whole`` bytes, and have all of the ``stored`` ones."""
    if len(pieces) > MAX_PIECES:
        raise TarError(f"a sparse file of more than {MAX_PIECES} pieces")
    at = total = 0
    for offset, length in pieces:
        if length < 0 or offset < at or offset + length > whole:
            raise TarError("a sparse file whose map does not fit it")
        at = offset + length
        total += length
    if total != stored:
        raise TarError("a sparse file whose map does not fit its data")
    return tuple((offset, length) for offset, length in pieces if length)


def leading_map(block: Callable[[], bytes], stored: int) -> tuple[list[tuple[int, int]], int]:
    """The map at the head of a sparse member's data (GNU's format 1.0) and the bytes that it took of ``stored``.

    ``block`` reads the next 512 of them.
    """
    numbers: list[int] = []
    wanted, taken, rest = 1, 0, b""
    while len(numbers) < wanted:
        if taken + BLOCK > stored or len(rest) > BLOCK:
            raise TarError("a sparse file whose map has no end")
        taken += BLOCK
        *lines, rest = (rest + block()).split(b"\n")
        for line in lines[: wanted - len(numbers)] if numbers else lines[:1]:
            numbers.append(decimal(line))
        if wanted == 1 and numbers:
            if numbers[0] > MAX_PIECES:
                raise TarError(f"a sparse file of more than {MAX_PIECES} pieces")
            wanted += 2 * numbers[0]
            numbers += [decimal(line) for line in lines[1:wanted]]
    return list(zip(numbers[1::2], numbers[2::2], strict=True)), taken


def struct_map(fields: bytes) -> Iterator[tuple[int, int]]:
    """The entries of a map in a header (GNU's old format), pairs of 12 digits; those of no length are none."""
    for at in range(0, len(fields) - 23, 24):
        offset, length = size(fields[at : at + 12]), size(fields[at + 12 : at + 24])
        if length:
            yield offset, length


def shown(text: bytes) -> str:
    """``text`` for a message: readable, harmless on a terminal, and never long."""
    cut = text[:80].decode("utf-8", "replace")
    safe = "".join(char if char.isprintable() else "?" for char in cut)
    return repr(safe + ("…" if len(text) > 80 else ""))
