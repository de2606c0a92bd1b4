"""Takes connections: who may speak, the handshake, one request from each, and the last word to it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

import trio

from sandtop import __version__
from sandtop.agent.wire import LONG, ProtocolError
from sandtop.core.contract.core import Stop
from sandtop.core.daemon import (
    core_ops,
    event_ops,
    file_ops,
    image_ops,
    layer_ops,
    logs_ops,
    net_ops,
    port_ops,
    sandbox_ops,
    screen_ops,
    session_ops,
    stats_ops,
    top_ops,
    volume_ops,
)
from sandtop.core.daemon.connection import PROTOCOL, ClientGone, Connection
from sandtop.core.daemon.dispatch import answer, fault, operation
from sandtop.core.daemon.once import Once
from sandtop.core.errors import CoreOutdated, InvalidRequest, SandtopError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.contract.record import Record
    from sandtop.core.daemon.dispatch import Core

log = logging.getLogger(__name__)
MAX_CLIENTS: Final = 512
_LAST_WORD: Final = 5.0
"""Seconds for a client to take the final answer."""
OPERATIONS: Final = (
    core_ops,
    event_ops,
    stats_ops,
    logs_ops,
    net_ops,
    port_ops,
    sandbox_ops,
    top_ops,
    image_ops,
    layer_ops,
    session_ops,
    screen_ops,
    file_ops,
    volume_ops,
)
"""The modules with the handlers: each has registered its own."""


class Server:
    """Answers the clients of one core; ``clients`` counts them."""

    def __init__(self, core: Core, nursery: trio.Nursery) -> None:
        self._core = core
        self._once = Once(nursery, core.fleet.first_request)
        self.clients = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, from its first byte to its last."""
        connection = Connection(stream)
        self.clients += 1
        try:
            async with stream:
                with trio.CancelScope() as scope:
                    await self._converse(connection, scope)
        except (ClientGone, trio.BrokenResourceError):
            pass
        except Exception:
            # one client's connection, whatever went wrong on it, is not the end of all the others
            log.exception("a fault of ours on a client's connection")
        finally:
            self.clients -= 1

    async def _converse(self, connection: Connection, scope: trio.CancelScope) -> None:
        last: tuple[str, Mapping[str, object]] | None
        op = "?"
        try:
            connection.check_peer()
            if self.clients > MAX_CLIENTS:
                raise InvalidRequest(f"the core serves {MAX_CLIENTS} clients already", hint="close some")
            newer = await self._greet(connection)
            message = await connection.receive_message("request")
            op = str(message.get("op"))[:60]
            result = await self._answer(connection, message, newer=newer)
            last = ("result", result.to_json()) if result is not None else None
        except SandtopError as error:
            last = ("error", error.to_wire())
        except ProtocolError as error:
            last = ("error", InvalidRequest(f"the client broke the protocol: {error}").to_wire())
        except (ClientGone, trio.BrokenResourceError):
            raise
        except Exception as error:
            last = ("error", fault(op, error).to_wire())
        if last is not None:
            scope.deadline = trio.current_time() + _LAST_WORD
            await connection.message(*last)

    async def _greet(self, connection: Connection) -> bool:
        """Exchange hellos. Whether the client is newer than this core."""
        hello = await connection.receive_message("hello")
        ours: dict[str, object] = {"version": PROTOCOL, "package": __version__, "pid": os.getpid()}
        await connection.message("hello", ours)
        version = hello.get("version")
        if not isinstance(version, int) or version < PROTOCOL:
            raise InvalidRequest(
                f"this core speaks version {PROTOCOL} of the protocol", hint="upgrade the client"
            )
        return version > PROTOCOL or _release(hello.get("package")) > _release(__version__)

    async def _answer(
        self, connection: Connection, message: Mapping[str, object], *, newer: bool
    ) -> Record | None:
        if newer and message.get("op") != Stop.op:  # whatever its fields are: this core may not know them
            raise CoreOutdated(
                f"the core is version {__version__}, older than its client", hint="sandtop core stop"
            )
        long = message.get("op") == LONG
        if long:
            message = await connection.receive_long(message)
        kind = operation(message)
        if long and not kind.long:
            raise InvalidRequest(f"a request for {kind.op!r} must fit a frame")
        return await answer(self._core, self._once, connection, kind, message, newer=newer)


def _release(version: object) -> tuple[int, ...]:
    """The numbers of ``version``, to compare; empty, so older than any, for what is none."""
    parts = version.split(".") if isinstance(version, str) else []
    return tuple(int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) < 6)
