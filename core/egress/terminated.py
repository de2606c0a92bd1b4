"""A connection to a host that gets secrets: TLS ends here on both sides, and requests of HTTP/1.1 pass one by one.

What a program sends is read by h11 and written anew, so the host can read it in one way only. The value goes into the
fields of the header of a request whose Host is the host of the TLS hello; elsewhere the placeholder stays.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import h11
import trio

from sandtop.core.egress.masking import MOST_PLACES, Filler, Masker, TooMany, masked
from sandtop.core.groups import unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandtop.core.ports import Counted

    Headers = list[tuple[bytes, bytes]]

_CHUNK: Final = 64 * 1024
_MOST_HEAD: Final = 64 * 1024
"""Bytes of the header of a request, or of an answer."""
_HANDSHAKE_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 300.0
"""How long a connection is kept until the header of its next request is complete."""
_LAST_SECONDS: Final = 2.0
"""How long the rest of a request is waited for, once the host has answered it in full."""
_NOT_PASSED: Final = (b"accept-encoding", b"te", b"http2-settings")
"""Headers of requests that are left out: they ask for answers that could not be read here, and so not be masked."""
_NOT_FILLED: Final = (b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect")


class Unruly(Exception):
    """The program's request is not passed on. ``str()`` says why, after "the program"."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


class Unanswered(Exception):
    """The host's answer cannot be passed on. ``str()`` says why, after "the host"."""


class Untrusted(Exception):
    """TLS does not come to stand with one of both. ``str()`` says with whom, and why."""


class Replayed(trio.abc.Stream):
    """``guest``, of which ``head`` was read already. What passes is added to ``counted``."""

    def __init__(self, guest: trio.abc.Stream, head: bytes, counted: Counted) -> None:
        self._guest = guest
        self._head = head
        self._counted = counted

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._head:
            data: bytes | bytearray = self._head[:max_bytes]
            self._head = self._head[len(data) :]
            await trio.lowlevel.checkpoint()
        else:
            data = await self._guest.receive_some(max_bytes)
        self._counted.sent += len(data)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._guest.send_all(data)
        self._counted.received += len(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._guest.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._guest.aclose()


async def with_host(
    local: trio.SocketStream, host: str, context: ssl.SSLContext
) -> trio.SSLStream[trio.SocketStream]:
    """TLS with ``host``, whose certificate is good by ``context``. Raises `Untrusted`."""
    stream = trio.SSLStream(local, context, server_hostname=host, https_compatible=True)
    try:
        with trio.fail_after(_HANDSHAKE_SECONDS):
            await stream.do_handshake()
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        why = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else cause or "it broke"
        raise Untrusted(f"TLS with {host} does not come to stand: {why}") from None
    except trio.TooSlowError:
        raise Untrusted(f"TLS with {host} does not come to stand within {_HANDSHAKE_SECONDS:g} s") from None
    return stream


async def with_program(guest: Replayed, context: ssl.SSLContext) -> trio.SSLStream[Replayed]:
    """TLS with the program, as its host. Raises `Untrusted`."""
    stream = trio.SSLStream(guest, context, server_side=True, https_compatible=True)
    try:
        with trio.fail_after(_HANDSHAKE_SECONDS):
            await stream.do_handshake()
    except trio.BrokenResourceError as error:
        raise Untrusted(
            f"the program does not take the certificate of the sandbox's own authority: {error.__cause__ or 'it left'}"
        ) from None
    except trio.TooSlowError:
        raise Untrusted(f"the program does not begin TLS within {_HANDSHAKE_SECONDS:g} s") from None
    return stream


class _Side:
    """HTTP/1.1 with one of both."""

    def __init__(self, stream: trio.abc.Stream, role: type[h11.CLIENT] | type[h11.SERVER]) -> None:
        self.stream = stream
        self.http = h11.Connection(role, max_incomplete_event_size=_MOST_HEAD)

    async def event(self) -> h11.Event | type[h11.PAUSED]:
        """Raises `h11.RemoteProtocolError`."""
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            self.http.receive_data(bytes(await self.stream.receive_some(_CHUNK)))

    async def send(self, event: h11.Event) -> None:
        if data := self.http.send(event):
            await self.stream.send_all(data)

    @property
    def rest(self) -> bytes:
        """What came behind all that was HTTP."""
        return self.http.trailing_data[0]


class Terminated:
    """One connection, between a ``program`` and its ``host`` on ``port``; ``values`` are those of the placeholders.

    ``used`` is told which of them a request had.
    """

    def __init__(
        self,
        program: trio.abc.Stream,
        upstream: trio.abc.Stream,
        host: str,
        port: int,
        values: Mapping[bytes, bytes],
        used: Callable[[Iterable[bytes]], None],
    ) -> None:
        self._guest = _Side(program, h11.SERVER)
        self._host = _Side(upstream, h11.CLIENT)
        self._names = {host.encode(), f"{host}:{port}".encode()}
        self._called = host
        self._used = used
        self._filler = Filler(values)

    async def run(self) -> None:
        """Pass requests and answers on until one of both ends.

        Raises `Unruly`, `Unanswered`, and trio's when a stream breaks.
        """
        try:
            with unwrapped():
                while await self._exchange():
                    self._guest.http.start_next_cycle()
                    self._host.http.start_next_cycle()
        except h11.LocalProtocolError as error:
            raise Unanswered(f"sent an answer that cannot be passed on: {error}") from None
        except Unruly as error:
            await self._refuse(error)
            raise

    async def _refuse(self, error: Unruly) -> None:
        if self._guest.http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        text = f"sandtop: the program {error}\n".encode()
        headers = [
            ("content-type", "text/plain"),
            ("content-length", str(len(text))),
            ("connection", "close"),
        ]
        with suppress(trio.BrokenResourceError, h11.LocalProtocolError), trio.move_on_after(_LAST_SECONDS):
            await self._guest.send(h11.Response(status_code=error.status, headers=headers))
            await self._guest.send(h11.Data(data=text))
            await self._guest.send(h11.EndOfMessage())

    async def _exchange(self) -> bool:
        """One request and its answer; whether there may be another."""
        request = await self._next_request()
        if request is None:
            return False
        await self._host.send(request)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_body)
            switched = await self._pass_answer()
            nursery.cancel_scope.deadline = trio.current_time() + _LAST_SECONDS
        if switched:
            await self._pass_all()
            return False
        sides = (self._guest.http, self._host.http)
        return all(each.our_state is h11.DONE and each.their_state is h11.DONE for each in sides)

    # the program's side

    async def _next_request(self) -> h11.Request | None:
        """None when there is none, as one of both has ended."""
        request = None
        async with trio.open_nursery() as nursery:

            async def until_host_ends() -> None:
                await self._answer_event()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until_host_ends)
            request = await self._request()
            nursery.cancel_scope.cancel()
        return request

    async def _request(self) -> h11.Request | None:
        try:
            with trio.fail_after(_IDLE_SECONDS):
                event = await self._guest.event()
        except trio.TooSlowError:
            raise Unruly(f"sent no request within {_IDLE_SECONDS:g} s", 408) from None
        except h11.RemoteProtocolError as error:
            raise Unruly(f"sent no request of HTTP/1.1: {error}", error.error_status_hint) from None
        return self._checked(event) if isinstance(event, h11.Request) else None

    def _checked(self, request: h11.Request) -> h11.Request:
        """``request`` as the host gets it. Raises `Unruly`."""
        headers = [(name, value) for name, value in request.headers]
        names = [name for name, _ in headers]
        hosts = [value.lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._names:
            said = hosts[0][:100].decode("latin-1") if hosts else "none"
            raise Unruly(f"asked {self._called} for another host than in its TLS hello: {said}", 421)
        if request.method == b"CONNECT" or not (request.target.startswith(b"/") or request.target == b"*"):
            raise Unruly("asked for something else than a path")
        if b"transfer-encoding" in names and (b"content-length" in names or request.http_version < b"1.1"):
            raise Unruly("sent a request whose length can be read in two ways")
        try:
            return h11.Request(method=request.method, target=request.target, headers=self._passed(headers))
        except TooMany:
            raise Unruly(f"used more than {MOST_PLACES} secrets in one request", 431) from None
        except h11.LocalProtocolError as error:
            raise Unruly(f"sent a request that cannot be passed on: {error}") from None

    def _passed(self, headers: Headers) -> Headers:
        kept = [each for each in headers if each[0] in _NOT_FILLED and _is_passed(*each)]
        filled = self._filler.headers(each for each in headers if each[0] not in (*_NOT_FILLED, *_NOT_PASSED))
        self._used(self._filler.used)
        return [*kept, *filled, (b"accept-encoding", b"identity")]

    async def _pass_body(self) -> None:
        """Pass the body of a request to the host; the trailer fields behind its last chunk are left out."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # of a host that has heard enough
            while True:
                try:
                    event = await self._guest.event()
                except h11.RemoteProtocolError as error:
                    raise Unruly(f"sent a body that is none of HTTP/1.1: {error}") from None
                if isinstance(event, h11.Data):
                    await self._host.send(h11.Data(data=bytes(event.data)))
                    continue
                if isinstance(event, h11.EndOfMessage):
                    await self._host.send(h11.EndOfMessage())
                return

    # the host's side

    async def _answer_event(self) -> h11.Event | type[h11.PAUSED]:
        try:
            return await self._host.event()
        except h11.RemoteProtocolError as error:
            raise Unanswered(f"sent no answer of HTTP/1.1: {error}") from None

    async def _pass_answer(self) -> bool:
        """Pass an answer to the program. Whether host and program have switched to another protocol (101) with it."""
        masker = Masker(self._filler.forms)
        while True:
            event = await self._answer_event()
            if isinstance(event, h11.InformationalResponse | h11.Response):
                headers = [(name, self._mask(value)) for name, value in event.headers]
                kind, reason = type(event), self._mask(event.reason)
                await self._guest.send(kind(status_code=event.status_code, headers=headers, reason=reason))
                if event.status_code == 101:
                    return True
            elif isinstance(event, h11.Data):
                if data := masker.feed(bytes(event.data)):
                    await self._guest.send(h11.Data(data=data))
            elif isinstance(event, h11.EndOfMessage):
                if rest := masker.rest():
                    await self._guest.send(h11.Data(data=rest))
                await self._guest.send(h11.EndOfMessage())
                return False
            else:
                raise Unanswered("ended without an answer")

    def _mask(self, text: bytes) -> bytes:
        return masked(text, self._filler.forms)

    # after 101

    async def _pass_all(self) -> None:
        """What is no HTTP any more, as it is."""
        pairs = (self._guest, self._host), (self._host, self._guest)
        async with trio.open_nursery() as nursery:
            for source, sink in pairs:
                nursery.start_soon(_pump, source, sink, nursery.cancel_scope)


def _is_passed(name: bytes, value: bytes) -> bool:
    """Whether a header is passed on: all are, but an ``Upgrade`` to another protocol than that of web sockets."""
    return name != b"upgrade" or value.lower() == b"websocket"


async def _pump(source: _Side, sink: _Side, scope: trio.CancelScope) -> None:
    data: bytes | bytearray = source.rest
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        if data:
            await sink.stream.send_all(data)
        while data := await source.stream.receive_some(_CHUNK):
            await sink.stream.send_all(data)
    scope.cancel()
