"""Serves the core's metrics by HTTP, on a Unix socket or a loopback address, to whoever scrapes them.

Where they are served is kept in the runtime folder: a core that was killed serves them there again.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.daemon.exposition import CONTENT_TYPE, Figures, check_library, render
from sandtop.core.errors import InvalidRequest, SandtopError, from_os_error
from sandtop.core.paths import private

if TYPE_CHECKING:
    from sandtop.core.fleet import Fleet
    from sandtop.core.paths import Paths

log = logging.getLogger(__name__)
OFF: Final = "off"
_UNIX: Final = "unix:"
_HEAD: Final = 8192
"""Bytes of a request."""
_PATIENCE: Final = 10.0
"""Seconds for a client to say what it wants, and to take it."""
_MOST: Final = 8
"""Clients at a time."""
_BACKLOG: Final = 16
_EXAMPLES: Final = "such as unix:/run/user/1000/sandtop-metrics.sock or 127.0.0.1:9464"


class MetricsServer:
    """Serves at one address at a time; ``nursery`` owns what it does."""

    def __init__(self, paths: Paths, fleet: Fleet, nursery: trio.Nursery) -> None:
        self._kept = paths.runtime / "metrics"
        self._fleet = fleet
        self._nursery = nursery
        self._scope: trio.CancelScope | None = None
        self._limit = trio.CapacityLimiter(_MOST)
        self.address: str | None = None

    async def begin(self, wanted: str) -> None:
        """Serve where the last core did, if that was killed; else at the address ``wanted``, unless that is empty."""
        with suppress(OSError):
            wanted = self._kept.read_text() or wanted
        if wanted:
            try:
                await self.serve(wanted)
            except SandtopError as error:
                log.warning("no metrics are served: %s", error)

    async def serve(self, address: str) -> None:
        """Serve at ``address``, and nowhere else; at `OFF` nowhere. Raises `InvalidRequest`, `StorageError`."""
        if address == OFF:
            self.stop()
            return
        if address == self.address:
            return
        check_library()
        try:
            listener = _listen(address)
        except OSError as error:
            raise from_os_error(error, f"cannot listen on {address}") from error
        self.stop()
        self._scope = await self._nursery.start(self._serve, listener)
        self.address = address
        self._remember(address)
        log.info("metrics are served on %s", address)

    def _remember(self, address: str) -> None:
        with suppress(OSError), open(self._kept, "w", opener=private) as file:
            file.write(address)

    def stop(self) -> None:
        """Serve no more."""
        if self._scope is not None:
            self._scope.cancel()
        if self.address is not None and self.address.startswith(_UNIX):
            with suppress(OSError):
                os.unlink(self.address.removeprefix(_UNIX))
        self._scope = self.address = None
        self._kept.unlink(missing_ok=True)

    async def _serve(
        self, listener: trio.SocketListener, task_status: trio.TaskStatus[trio.CancelScope]
    ) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                task_status.started(scope)
                await trio.serve_listeners(self._answer, [listener], handler_nursery=nursery)

    async def _answer(self, stream: trio.SocketStream) -> None:
        """One client, one request."""
        with trio.move_on_after(_PATIENCE):
            async with stream, self._limit:
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(await self._response(await _head(stream)))

    async def _response(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method != b"GET":
            return _http("405 Method Not Allowed", b"only GET\n")
        if path != b"/metrics":
            return _http("404 Not Found", b"the metrics are at /metrics\n")
        figures = await self._figures()
        text = await trio.to_thread.run_sync(partial(render, figures))
        return _http("200 OK", text, CONTENT_TYPE)

    async def _figures(self) -> Figures:
        watch = self._fleet.watch
        await watch.refresh()
        _, host = watch.host()
        busy, core = watch.seconds()
        sandboxes = [one for each in self._fleet.all() if (one := watch.of(each)) is not None]
        return Figures(host, busy, core, sandboxes, dict(self._fleet.events.counts))


async def _head(stream: trio.SocketStream) -> bytes:
    """What a client asks for, to the end of its headers; what it has said when it stops, or says too much."""
    head = bytearray()
    while b"\r\n\r\n" not in head and len(head) < _HEAD:
        data = await stream.receive_some(_HEAD)
        if not data:
            break
        head += data
    return bytes(head)


def _http(status: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def _listen(address: str) -> trio.SocketListener:
    """Raises OSError, `InvalidRequest`."""
    if address.startswith(_UNIX):
        return _listen_unix(address.removeprefix(_UNIX))
    host, colon, port = address.rpartition(":")
    try:
        found = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
        number = int(port) if colon and port.isascii() and port.isdecimal() and len(port) <= 5 else -1
    except ValueError:
        raise InvalidRequest(f"{address!r:.80} is no address for metrics", hint=_EXAMPLES) from None
    if not found.is_loopback or not 0 < number < 65536:
        raise InvalidRequest(
            f"metrics are served on a loopback address and a port, not on {address!r:.80}", hint=_EXAMPLES
        )
    raw = trio.socket.socket(socket.AF_INET6 if found.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    return _bound(raw, (str(found), number))


def _listen_unix(path: str) -> trio.SocketListener:
    if not path.startswith("/"):
        raise InvalidRequest(
            f"the socket of metrics must be an absolute path, not {path!r:.80}", hint=_EXAMPLES
        )
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise InvalidRequest(f"{path} is there, and is no socket", hint="remove it, or name another path")
        os.unlink(path)
    before = os.umask(0o177)
    try:
        return _bound(trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), path)
    finally:
        os.umask(before)


def _bound(raw: trio.socket.SocketType, address: str | tuple[str, int]) -> trio.SocketListener:
    try:
        if not isinstance(address, str):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        raw._sock.bind(address)  # type: ignore[attr-defined]
        raw.listen(_BACKLOG)
    except OSError:
        raw.close()
        raise
    return trio.SocketListener(raw)
