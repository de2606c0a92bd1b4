"""Tar streams with whatever one likes in their headers."""

from __future__ import annotations

from typing import Final

END: Final = bytes(1024)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def header(
    name: bytes,
    kind: bytes = b"0",
    *,
    size: int | bytes = 0,
    mode: int | bytes = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    mtime: int | bytes = 10**9,
    target: bytes = b"",
    device: tuple[int | bytes, int | bytes] = (0, 0),
    tail: bytes = b"",
    magic: bytes = b"ustar\00000",
) -> bytes:
    """One block; bytes stand for a field as they are. ``tail`` is what lies behind the device numbers."""
    block = b"".join(
        (
            _text(name, 100), _number(mode, 8), _number(uid, 8), _number(gid, 8), _number(size, 12), _number(mtime, 12),
            b" " * 8, kind, _text(target, 100), magic, bytes(64), _number(device[0], 8), _number(device[1], 8),
            _text(tail, 167),
        )
    )  # fmt: skip
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _text(text: bytes, length: int) -> bytes:
    return text[:length].ljust(length, b"\0")


def _number(value: int | bytes, length: int) -> bytes:
    return _text(value, length) if isinstance(value, bytes) else b"%0*o\0" % (length - 1, value)


def file(name: bytes, data: bytes = b"data", **fields: object) -> bytes:
    return header(name, size=len(data), **fields) + padded(data)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def folder(name: bytes, mode: int = 0o755) -> bytes:
    return header(name, b"5", mode=mode)


def link(name: bytes, target: bytes) -> bytes:
    return header(name, b"2", target=target)


def hard_link(name: bytes, target: bytes) -> bytes:
    return header(name, b"1", target=target)


def record(keyword: bytes, value: bytes) -> bytes:
    """One record of a pax header."""
    length = len(keyword) + len(value) + 3
    while len(text := b"%d %s=%s\n" % (length, keyword, value)) != length:
        length = len(text)
    return text


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    data = b"".join(record(keyword, value) for keyword, value in records)
    return header(b"PaxHeader", kind, size=len(data)) + padded(data)


def sparse(name: bytes, whole: int | bytes, map: bytes, data: bytes = b"") -> bytes:
    """A sparse member in GNU's format 1.0; ``map`` as it is in the stream, without its padding."""
    content = padded(map) + data
    size = b"%d" % whole if isinstance(whole, int) else whole
    return pax(
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", name),
        (b"GNU.sparse.realsize", size),
    ) + file(b"GNUSparseFile.0/x", content)
