"""Tar streams for fuzz targets: mostly well formed, with odd names, links, numbers, headers and maps among it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.core.tar.making import END, file, header, padded, pax, sparse

if TYPE_CHECKING:
    import random

_NAMES: Final = (
    b"x", b"x/", b"x/y", b"x/y/z", b"x/y/z/w", b"./x", b".", b"./", b"..", b"../x", b"x/../y", b"/x", b"/", b"",
    b"x//y", b"x/./y", b"x/.", b"mine", b"./mine", b"there", b"there/new", b"./there/new", b"way", b"way/file",
    b"./way/file", b"x/way/file", b"pipe", b"./pipe", b"\xff", b"x/\x1b[31m", b"x/" + b"n" * 98, b"n" * 300,
    b"x/" + b"n" * 255, b"x" + b"/d" * 40, b"x" + b"/d" * 400, b"x/" + b"../" * 20, b"manifest.json", b"index.json",
    b"oci-layout", b"blobs/x",
)  # fmt: skip
_TARGETS: Final = (
    *_NAMES, b"../outside", b"../../outside", b"../outside/file", b"../../outside/file", b"/etc/passwd", b"/", b"x/way",
    b"x/y", b"." * 90, b"x/" * 2000,
)  # fmt: skip
_KINDS: Final = (
    *(b"0", b"5") * 6, *(b"2", b"1") * 3, b"\0", b"3", b"4", b"6", b"7", b"S", b"D", b"Z", b"\xff",
)  # fmt: skip
_NUMBERS: Final = (
    b"0", b"00000000012\0", b"7777777", b"-1", b" 12 ", b"abc", b"\x80" + bytes(10) + b"\5", b"\xff" * 12,
    b"\x80" + b"\xff" * 11, b"\x80\0\0\0\x7f" + b"\xff" * 7, b"777777777777", b"1\0garbage",
)  # fmt: skip
_VALUES: Final = (
    b"", b"0", b"1", b"-1", b"5", b"512", b"1e9", b"nan", b"inf", b"1.5", b"-1.5", b"9" * 19, b"9" * 20, b"9" * 400,
    b"1_0", "٣".encode(), b"x,y", b"0,1", b"0,1,2", b"4,1,0,1", b"BINARY", b"a\0b", b"x" * 5000,
    b"%d" % (1 << 40), b"%d" % ((1 << 63) - 1),
)  # fmt: skip
_KEYWORDS: Final = (
    b"path", b"linkpath", b"size", b"mtime", b"uid", b"gid", b"hdrcharset", b"comment", b"SCHILY.xattr.user.a",
    b"GNU.sparse.major", b"GNU.sparse.minor", b"GNU.sparse.name", b"GNU.sparse.realsize", b"GNU.sparse.size",
    b"GNU.sparse.map", b"GNU.sparse.offset", b"GNU.sparse.numbytes", b"GNU.sparse.numblocks", b"",
)  # fmt: skip
_HEADER: Final = re.compile(rb"ustar")


def archive(rng: random.Random) -> bytes:
    """One stream: half of them are well formed to the end, and their members meet under few names."""
    make = rng.choice((_member, _entangled))
    data = b"".join(make(rng) for _ in range(rng.randrange(1, rng.choice((4, 12, 40)))))
    if make is _entangled:
        return data + END
    match rng.randrange(12):
        case 0:
            return data[: rng.randrange(len(data) + 1)]
        case 1:
            return data
        case 2:
            return data + rng.choice((bytes(512), rng.randbytes(512), b"\1"))
        case _:
            return data + END


def summed(data: bytes) -> bytes:
    """``data`` with right checksums, so that what was changed in a header is looked at."""
    out = bytearray(data)
    for found in _HEADER.finditer(data):
        start = found.start() - 257
        if start >= 0 and start % 512 == 0 and start + 512 <= len(data):
            total = sum(out[start : start + 148]) + sum(out[start + 156 : start + 512]) + 256
            out[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(out)


def _member(rng: random.Random) -> bytes:
    name, target = rng.choice(_NAMES), rng.choice(_TARGETS)
    match rng.randrange(16):
        case 0:
            return _sparse(rng, name)
        case 1:
            return _extension(rng) * rng.choice((1, 1, 2, 50))
        case 2:
            return _odd(rng, name, target)
        case 3:
            return pax((b"path", name)) + file(b"x", rng.randbytes(rng.randrange(20)))
        case 4:
            return pax((b"linkpath", target)) + header(name, rng.choice((b"1", b"2")))
        case 5:
            return (
                header(b"L", rng.choice((b"L", b"K")), size=len(name) + 1) + padded(name + b"\0") + file(b"x")
            )
        case _:
            return _plain(rng, name, target)


def _entangled(rng: random.Random) -> bytes:
    def some() -> bytes:
        return b"/".join(rng.choice((b"a", b"b", b"c")) for _ in range(rng.randrange(1, 4)))

    name = rng.choice((b"x/", b"x/", b"./", b"")) + some()
    match rng.randrange(8):
        case 0 | 1:
            return header(name, b"5", mode=rng.choice((0o755, 0o700, 0, 0o4777)))
        case 2 | 3:
            up = rng.choice((b"", b"", b"../", b"../../", b"/", b"./"))
            return header(name, b"2", target=up + rng.choice((some(), b"outside", b"..")))
        case 4:
            return header(name, b"1", target=rng.choice((b"x/", b"./", b"")) + some())
        case _:
            return file(name, rng.choice((b"", b"data", bytes(600))))


def _plain(rng: random.Random, name: bytes, target: bytes) -> bytes:
    kind = rng.choice(_KINDS)
    mode = rng.choice((0o644, 0o755, 0o777, 0, 0o7777))
    data = rng.choice((b"", b"data", bytes(5000), rng.randbytes(700))) if kind in (b"0", b"\0", b"7") else b""
    return header(name, kind, size=len(data), mode=mode, target=target, device=(1, 3)) + padded(data)


def _odd(rng: random.Random, name: bytes, target: bytes) -> bytes:
    fields = {rng.choice(("size", "mode", "uid", "gid", "mtime")): rng.choice(_NUMBERS) for _ in range(2)}
    magic = rng.choice((b"ustar\00000", b"ustar  \0", b"ustarxxx"))
    tail = rng.choice((b"", b"prefix", rng.randbytes(160), b"\x80" * 160, b"1" * 160))
    return header(name, rng.choice(_KINDS), target=target, magic=magic, tail=tail, **fields)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def _extension(rng: random.Random) -> bytes:
    if rng.randrange(4) == 0:
        size = rng.choice((0, 1, 511, 1 << 20, (8 << 30) - 1))
        return header(b"P", rng.choice((b"x", b"g", b"L", b"K", b"X", b"V")), size=size) + rng.randbytes(512)
    records = [(rng.choice(_KEYWORDS), rng.choice(_VALUES)) for _ in range(rng.randrange(5))]
    return pax(*records, kind=rng.choice((b"x", b"x", b"x", b"g", b"X")))


def _sparse(rng: random.Random, name: bytes) -> bytes:
    whole = rng.choice((0, 10, 5000, 1 << 20, 3 << 30, (1 << 63) - 1))
    pieces: list[tuple[int, int]] = []
    at = 0
    for _ in range(rng.randrange(6)):
        at += rng.randrange(1, 1000)
        length = rng.randrange(0, 300)
        pieces.append((at, length))
        at += length
    pieces.append((max(whole, at), 0))
    text = b"%d\n" % len(pieces) + b"".join(b"%d\n%d\n" % piece for piece in pieces)
    if rng.randrange(4) == 0:
        text = text.replace(
            rng.choice((b"\n", b"1", b"0")), rng.choice((b"", b"-", b"9" * 19, b"\n\n", b"x")), 1
        )
    content = rng.randbytes(sum(length for _, length in pieces) + (rng.randrange(8) == 0))
    return sparse(name, max(whole, at) if rng.randrange(8) else whole, text, content)
