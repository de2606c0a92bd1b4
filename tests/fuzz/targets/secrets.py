"""A connection to the host of a secret, in the hands of a program that keeps to nothing: TLS is done, HTTP is not.

The host reads by a few lines of its own, and not by h11: what it gets has to be requests for it alone, each with its
end where it says, and the value in their headers and nowhere else. It shows all that it got, and the program must not
see the value.
"""

from __future__ import annotations

import random
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio
import trio.testing
from tests.fuzz.target import Budget

from sandtop.core.egress.terminated import Terminated, Unanswered, Unruly

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOST: Final = "api.example.org"
_PLACEHOLDER: Final = b"sandtop-00112233445566778899aabbccddeeff"
_VALUE: Final = b"the-value-itself"
_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[^\r\n\0]*\Z")
_ECHOED: Final = 16 * 1024
_LENGTH: Final = b"Content-Length: 5"
_CHUNKED: Final = b"Transfer-Encoding: chunked"
_AUTHORIZATION: Final = b"Authorization: " + _PLACEHOLDER
_HEADERS: Final = (
    b"Host: api.example.org", b"Host: other.test", b"host:api.example.org:443", _LENGTH,
    b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: 5, 5", _CHUNKED,
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding:\tchunked", b"Transfer-Encoding : chunked", b"Connection: close", b"Connection: Authorization",
    b"Upgrade: websocket", b"Upgrade: h2c", b"Expect: 100-continue", b" folded", b"X:" + b"a" * 9000,
    _AUTHORIZATION, b"Authorization: Basic " + b"c2FuZHRvcC0wMDE=", b"X-" + _PLACEHOLDER + b": y",
    b"X: " + _PLACEHOLDER * 3, b"Accept-Encoding: gzip",
)  # fmt: skip
_FIRST: Final = (
    b"GET / HTTP/1.1", b"POST /a?b HTTP/1.1", b"GET / HTTP/1.0", b"GET http://other.test/ HTTP/1.1",
    b"HEAD / HTTP/1.1",
    b"CONNECT api.example.org:443 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET /" + _PLACEHOLDER + b" HTTP/1.1",
    b"PRI * HTTP/2.0",
)  # fmt: skip
_BODIES: Final = (
    b"", b"", b"12345", b"0\r\n\r\n", b"5\r\n12345\r\n0\r\n\r\n",
    b"5;x=\n\r\n12345\r\n0\r\nX: y\r\n\r\n", b"-1\r\n", _PLACEHOLDER,
    b"ffffffffffffffffffff\r\n", b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n",
)  # fmt: skip
_ENDS: Final = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\0")


class _Host:
    """Answers on ``stream``, and looks at what comes."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._pending = b""

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self._pending:
            piece = await self._stream.receive_some(65536)
            if not piece:
                assert _VALUE not in self._pending, "a part of a request has the value"
                raise EOFError
            self._pending += piece
        found, _, self._pending = self._pending.partition(mark)
        return found

    async def _take(self, count: int) -> bytes:
        while len(self._pending) < count:
            piece = await self._stream.receive_some(65536)
            if not piece:
                raise EOFError
            self._pending += piece
        found, self._pending = self._pending[:count], self._pending[count:]
        return found

    async def serve(self) -> None:
        try:
            while True:
                await self._answer(await self._until(b"\r\n\r\n"))
        except (EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
            await self._stream.aclose()

    async def _answer(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        assert re.match(rb"[!-~]+ [/*][!-~]* HTTP/1\.1\Z", first), first
        assert all(_LINE.match(line) for line in lines), lines
        fields = [
            (name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)
        ]
        assert [value.partition(b":")[0].lower() for name, value in fields if name == b"host"] == [
            _HOST.encode()
        ]
        said = dict(fields)
        body = b""
        if b"transfer-encoding" in said:
            assert b"content-length" not in said
            while size := int(await self._until(b"\r\n"), 16):
                body += await self._take(size + 2)
            assert await self._take(2) == b"\r\n"
        elif b"content-length" in said:
            body = await self._take(int(said[b"content-length"]))
        assert _VALUE not in first + body, "the value is not in the headers alone"
        shown = b"" if first.startswith(b"HEAD") else (head + body)[:_ECHOED]
        seen = head[-200:].replace(b"\r\n", b" ")
        answer = [b"HTTP/1.1 200 OK", b"X-Seen: " + seen, b"Content-Length: %d" % len(shown), b"", shown]
        await self._stream.send_all(b"\r\n".join(answer))


class _Secrets:
    budget: Final = Budget(cpu=0.5, cpu_per_kib=0.05, memory=64 << 20, hang=20.0)
    seeds: Final = (
        b"POST / HTTP/1.1\r\nHost: api.example.org\r\nAuthorization: "
        + _PLACEHOLDER
        + b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n"
        + b"GET / HTTP/1.1\r\nHost: api.example.org\r\n\r\n",
    )
    mutate: Final = True

    def generate(self, rng: random.Random) -> bytes:
        return b"".join(_request(rng) for _ in range(rng.randrange(1, 8)))

    def run(self, data: bytes) -> None:
        got = trio.run(_talk, data, clock=trio.testing.MockClock(autojump_threshold=0.01))
        assert _VALUE not in got, "the program sees the value"


def _request(rng: random.Random) -> bytes:
    good = rng.random() < 0.6  # or none would get behind the first
    lines = [
        rng.choice(_FIRST[:2] if good else _FIRST),
        _HEADERS[0],
        *rng.choices(_HEADERS, k=rng.randrange(5)),
    ]
    if good:
        lines = [
            lines[0],
            _HEADERS[0],
            _AUTHORIZATION,
            *rng.sample((_LENGTH, _CHUNKED), rng.randrange(2)),
        ]
    end = b"\r\n" if good else rng.choice(_ENDS)
    body = rng.choice(_BODIES)
    if good:
        body = b"12345" if _LENGTH in lines else _BODIES[4] if _CHUNKED in lines else b""
    return end.join([*lines, b"", body])


async def _talk(data: bytes) -> bytes:
    """What the program gets that sends ``data``."""
    program, inner = trio.testing.memory_stream_pair()
    outer, host = trio.testing.memory_stream_pair()
    rng = random.Random(len(data))
    got = bytearray()

    async def send() -> None:
        at = 0
        with suppress(trio.BrokenResourceError):  # it was refused
            while at < len(data):
                step = rng.randrange(1, 4096)
                await program.send_all(data[at : at + step])
                at += step
            await program.send_eof()

    async def receive() -> None:
        while piece := await program.receive_some(65536):
            got.extend(piece)

    async def pass_on() -> None:
        passing = Terminated(inner, outer, _HOST, 443, {_PLACEHOLDER: _VALUE}, _nothing)
        with suppress(Unruly, Unanswered, trio.BrokenResourceError, trio.ClosedResourceError):
            await passing.run()
        await inner.aclose()
        await outer.aclose()

    async with trio.open_nursery() as nursery:
        for task in (send, receive, pass_on, _Host(host).serve):
            nursery.start_soon(task)
    return bytes(got)


def _nothing(_used: Iterable[bytes]) -> None:
    pass


TARGET: Final = _Secrets()
