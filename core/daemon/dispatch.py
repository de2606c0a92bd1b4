"""Which handler answers which operation: each has one, registered with the class of its request."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from sandtop.core.contract import find
from sandtop.core.contract.codec import decode_request
from sandtop.core.contract.record import Change, Record, Request, Stream
from sandtop.core.errors import CoreFailure, InvalidRequest, SandtopError
from sandtop.core.groups import unwrapped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import trio

    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.metrics import MetricsServer
    from sandtop.core.daemon.once import Once, Work
    from sandtop.core.fleet import Fleet
    from sandtop.core.guest import GuestStore
    from sandtop.core.paths import Paths

log = logging.getLogger(__name__)
Asked = TypeVar("Asked", bound=Request[Any])
Changing = TypeVar("Changing", bound=Change[Any])
Streaming = TypeVar("Streaming", bound=Stream[Any])


@dataclass(frozen=True, slots=True)
class Core:
    """What handlers work on.

    Attributes:
        started_at: seconds since the epoch.
        stopping: set when the core is to end.
        metrics: serves them, where somebody wants them.
    """

    paths: Paths
    fleet: Fleet
    guest: GuestStore
    started_at: float
    stopping: trio.Event
    metrics: MetricsServer


if TYPE_CHECKING:
    Answering = Callable[[Core, Asked], Awaitable[Record]]
    Making = Callable[[Core, Changing, Work], Awaitable[Record]]
    Serving = Callable[[Core, Streaming, Connection], Awaitable[Record | None]]
    """None when the handler has sent the result itself, among what it streams, or nobody is there to take one."""

HANDLERS: Final[dict[type[Request[Any]], Callable[..., Awaitable[Record | None]]]] = {}
"""The handler of every operation whose module was imported."""


def answers(kind: type[Asked]) -> Callable[[Answering[Asked]], Answering[Asked]]:
    """Registers the handler of a plain request."""
    return partial(_register, kind)


def makes(kind: type[Changing]) -> Callable[[Making[Changing]], Making[Changing]]:
    """Registers the handler of a change, which is made once however often it is asked for; see `Work`."""
    return partial(_register, kind)


def serves(kind: type[Streaming]) -> Callable[[Serving[Streaming]], Serving[Streaming]]:
    """Registers the handler that has the connection to itself."""
    return partial(_register, kind)


Handler = TypeVar("Handler", bound="Callable[..., Awaitable[Record | None]]")


def _register(kind: type[Request[Any]], handler: Handler) -> Handler:
    assert kind not in HANDLERS, kind.op
    HANDLERS[kind] = handler
    return handler


def operation(message: Mapping[str, object]) -> type[Request[Any]]:
    """The operation that ``message`` asks for. Raises `InvalidRequest`."""
    op = str(message.get("op"))[:60]
    kind = find(op)
    if kind is None:
        raise InvalidRequest(f"this core does not know the operation {op!r}", hint="is it too old?")
    return kind


async def answer(
    core: Core,
    once: Once,
    connection: Connection,
    kind: type[Request[Any]],
    message: Mapping[str, object],
    *,
    newer: bool = False,
) -> Record | None:
    """What the handler of ``kind`` makes of ``message``; None when the client has been told. Raises `SandtopError`.

    ``newer``: the client is, and may say what this core does not know.
    """
    request = decode_request(kind, message, newer=newer)
    handler = HANDLERS[kind]
    if isinstance(request, Change):
        change = cast("Change[Record]", request)
        return await once.do(change.request_id or "", partial(_make, handler, core, change), connection)
    with unwrapped():
        return await (
            handler(core, request, connection) if isinstance(request, Stream) else handler(core, request)
        )


async def _make(
    handler: Callable[..., Awaitable[Record | None]], core: Core, request: Change[Record], work: Work
) -> Record:
    """Runs the handler of a change. A fault of ours in it is logged and told, and ends nothing but the change."""
    try:
        with unwrapped():
            result = await handler(core, request, work)
    except SandtopError:
        raise
    except Exception as error:
        raise fault(request.op, error) from error
    assert result is not None
    return result


def fault(op: str, error: Exception) -> CoreFailure:
    """What a client is told about ``error``, a fault of ours, which is logged."""
    log.error("operation %s failed", op, exc_info=error)
    return CoreFailure(f"sandtop met a fault of its own: {error!r}"[:300], hint="see the core's log")
