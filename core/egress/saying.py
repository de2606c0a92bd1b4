"""Whom a client says it means in the first bytes that it sends: the name in a TLS hello, or in a request of HTTP.

The bytes are a hostile guest's. What is read of them is bounded by whoever collects them, and each byte is looked at a
few times at most.
"""

from __future__ import annotations

import re
from typing import Final

MOST_BYTES: Final = 32 * 1024
"""How much a client may send before it has named its host. A TLS hello with post-quantum keys takes 2 KiB, a request
with cookies 8."""
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_MOST_RECORD: Final = (1 << 14) + 2048  # RFC 8446, 5.1, with room for what middleboxes do
_MOST_RECORDS: Final = 64
"""TLS records that a hello may be cut into: clients cut it into one, or a few."""
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
_REQUEST: Final = re.compile(rb"[A-Z]{1,20} ([!-~]{1,16384}) HTTP/1\.[01]\Z")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
_PORT: Final = re.compile(rb":[0-9]{0,5}\Z")
_NAME: Final = re.compile(rb"[A-Za-z0-9._-]{1,255}\Z")


class Unsaid(Exception):
    """The client names no host, or not in a way that can be relied on. ``str()`` says why, after "the client"."""


class _Short(Exception):
    """The bytes end before what was to be read: more may come."""


def said(port: int, data: bytes) -> str | None:
    """The name of the host that the client means that sent ``data`` first, to ``port``; None: more is needed to know.

    In lower case. Raises `Unsaid`.
    """
    if data[:1] == b"\x16":
        return _of_hello(data)
    if port == 443:
        raise Unsaid("began no TLS")
    return _of_request(data)


# TLS (RFC 8446 4.1.2, RFC 6066 3)


class _Reader:
    """Numbers and pieces of ``data``, from its beginning. Raises `_Short`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise _Short
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def piece(self, size: int) -> bytes:
        """What follows a length of ``size`` bytes."""
        return self.take(self.number(size))


def _of_hello(data: bytes) -> str | None:
    hello, whole = _handshake(data)
    if not whole:
        return None
    reader = _Reader(hello)
    try:
        reader.take(34)  # version and random
        for size in (1, 2, 1):  # session, ciphers, compressions
            reader.piece(size)
        names = _server_names(_Reader(reader.piece(2)) if reader.left else _Reader(b""))
    except _Short:
        raise Unsaid("sent a TLS hello that is broken") from None
    if not names:
        raise Unsaid("named no host in its TLS hello (no SNI)")
    if len(names) > 1:
        raise Unsaid("named more than one host in its TLS hello")
    return _checked(names[0])


def _handshake(data: bytes) -> tuple[bytes, bool]:
    """The body of the hello, from its records; and whether it is all there."""
    reader, body, records = _Reader(data), bytearray(), 0
    while len(body) < 4 or len(body) < 4 + int.from_bytes(body[1:4]):
        try:
            kind, major, _, length = reader.take(1), reader.take(1), reader.take(1), reader.number(2)
            if kind[0] != _HANDSHAKE or major != b"\x03" or not 0 < length <= _MOST_RECORD:
                raise Unsaid("sent a TLS hello that is broken")
            if (records := records + 1) > _MOST_RECORDS:
                raise Unsaid(f"cut its TLS hello into more than {_MOST_RECORDS} records")
            body += reader.take(length)
        except _Short:
            return b"", False
        if body[0] != _CLIENT_HELLO:
            raise Unsaid("began TLS without a hello")
    return bytes(body[4 : 4 + int.from_bytes(body[1:4])]), True


def _server_names(extensions: _Reader) -> list[bytes]:
    found: list[bytes] = []
    while extensions.left:
        kind, content = extensions.number(2), extensions.piece(2)
        if kind == _SERVER_NAME:
            listed = _Reader(_Reader(content).piece(2))
            while listed.left:
                name_kind, name = listed.number(1), listed.piece(2)
                if name_kind == _HOST_NAME:
                    found.append(name)
    return found


# HTTP/1 (RFC 9112)


def _of_request(data: bytes) -> str | None:
    end = data.find(b"\r\n\r\n")
    if end < 0:
        first, newline, _ = data.partition(b"\n")
        if newline and not _REQUEST.match(first.rstrip(b"\r")):
            raise Unsaid("sent neither a TLS hello nor a request of HTTP")
        return None
    request, *lines = data[:end].split(b"\r\n")
    asked = _REQUEST.match(request)
    if asked is None:
        raise Unsaid("sent neither a TLS hello nor a request of HTTP")
    hosts: list[bytes] = []
    for line in lines:
        field, colon, value = line.partition(b":")
        if not colon or field != field.strip() or b"\n" in line or b"\r" in line:
            raise Unsaid("sent a request of HTTP whose headers can be read in two ways")
        if field.lower() == b"host":
            hosts.append(value.strip(b" \t"))
    if len(hosts) != 1:
        raise Unsaid(
            "named no host in its request" if not hosts else "named more than one host in its request"
        )
    name = _checked(_PORT.sub(b"", hosts[0]))
    target = asked[1]
    if not target.startswith(b"/") and target != b"*":
        absolute = _ABSOLUTE.match(target)
        if absolute is None or _checked(_PORT.sub(b"", absolute[1])) != name:
            raise Unsaid("asked for another host than it named in its request")
    return name


def _checked(name: bytes) -> str:
    name = name.removesuffix(b".")
    if not _NAME.match(name):
        raise Unsaid("named a host with a name that no host can have")
    return name.decode("ascii").lower()
