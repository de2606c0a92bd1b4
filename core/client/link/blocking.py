"""The client on a plain blocking socket, for commands that people wait for: no event loop, few imports.

`asynchronous` is the same on anyio; what both decide is in `exchange` and `recovery`.
"""

from __future__ import annotations

import time

from sandtop.core.errors import CoreOutdated, CoreUnavailable

from .exchange import HELLO_SECONDS, Exchange, Listing, wants_launch
from .plain import Link, LinkLost, begin, connect, patience, request
from .recovery import KEEPER_SECONDS, Recovery

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from sandtop.agent.wire import Frame

    class Operation(Protocol):
        """What runs over a connection: an `Exchange` or a `Following`."""

        @property
        def greeted(self) -> bool: ...
        def opening(self) -> bytes: ...
        def feed(self, data: bytes) -> list[Frame]: ...


def open_link(operation: Operation, recovery: Recovery) -> Link:
    """A connection on which ``operation`` has begun. Starts the core when none runs."""
    while True:
        try:
            return begin(operation.opening)
        except LinkLost:
            time.sleep(recovery.broke(time.monotonic()))
        except OSError as error:
            delay = recovery.refused(time.monotonic(), launch=wants_launch(error))
            if delay is None:
                from .launching import launch

                launch()
            else:
                time.sleep(delay)


def call(
    op: str, fields: Mapping[str, object] | None = None, progress: Callable[[str], None] | None = None
) -> dict[str, object]:
    """Ask the core for ``op`` and return its result; start the core, or wait for it to come back, when it must be.

    Raises what the core reports, or `CoreUnavailable`.
    """
    exchange = Exchange(request(op, fields or {}))
    recovery = Recovery()
    while True:
        link = open_link(exchange, recovery)
        try:
            return _result(link, exchange, patience(op), progress)
        except LinkLost:
            time.sleep(recovery.broke(time.monotonic()))
            exchange = exchange.again()
        except CoreOutdated:
            recovery.outdated()
            stop_core()
            exchange = exchange.again()
        finally:
            link.close()


def call_all(op: str, fields: Mapping[str, object] | None = None) -> list[dict[str, object]]:
    """`call` for all the pages of ``sandbox.list`` or ``session.list``, oldest first."""
    listing = Listing(op, fields or {})
    while listing.take(call(op, listing.fields)):
        pass
    return listing.items


def call_running(
    op: str, fields: Mapping[str, object] | None = None, *, wait: float = KEEPER_SECONDS
) -> dict[str, object] | None:
    """The same of a core that runs already, or comes back within ``wait`` seconds; None when there is none."""
    exchange = Exchange(request(op, fields or {}))
    deadline = time.monotonic() + wait
    while True:
        try:
            link = connect()
        except OSError as error:
            # without a socket nobody stopped in the middle: no keeper is about to start one again
            gone = wants_launch(error) and isinstance(error, FileNotFoundError)
            if gone or time.monotonic() >= deadline:
                return None
            time.sleep(0.02)
            continue
        try:
            link.send(exchange.opening())
            return _result(link, exchange, patience(op), None)
        except LinkLost:
            exchange = exchange.again()
            if time.monotonic() >= deadline:
                return None
        finally:
            link.close()


def hold(sandbox: str) -> Link:
    """A connection that keeps a throw-away sandbox: it goes when the last of them is closed, however that comes."""
    return open_link(Exchange(request("sandbox.hold", {"sandbox": sandbox})), Recovery())


def _result(
    link: Link, exchange: Exchange, seconds: float, progress: Callable[[str], None] | None
) -> dict[str, object]:
    while exchange.result is None:
        data = link.receive(seconds if exchange.greeted else HELLO_SECONDS)
        for frame in exchange.feed(data):
            if progress is not None and (line := progress_line(frame)) is not None:
                progress(line)
    return exchange.result


def progress_line(frame: Frame) -> str | None:
    """The text of a ``progress`` message; None for any other frame."""
    from sandtop.agent.wire import Control

    if isinstance(frame, Control) and frame.message["type"] == "progress":
        return str(frame.message.get("message") or "")
    return None


def stop_core(*, machines: bool = False) -> bool:
    """End the core, and with ``machines`` every sandbox first, for which one is started; whether there was one.

    Returns when nobody listens any more. Raises what the core reports, or `CoreUnavailable` when it stays.
    """
    if machines:
        call("core.stop", {"all": True})
    elif call_running("core.stop", {"all": False}) is None:
        return False
    deadline = time.monotonic() + HELLO_SECONDS
    while time.monotonic() < deadline:
        try:
            connect().close()
        except OSError as error:
            if wants_launch(error):
                return True
        time.sleep(0.02)
    raise CoreUnavailable("the core was told to stop and still runs", hint="see its log")
