"""Takes connections, reads one request from each, and answers it."""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from sandtop import __version__
from sandtop.agent.wire import LONG, ProtocolError
from sandtop.core.daemon import sandbox_ops, screen_ops, session_ops
from sandtop.core.daemon.connection import PROTOCOL, ClientGone, Connection
from sandtop.core.daemon.once import Once
from sandtop.core.errors import CoreFailure, CoreOutdated, InvalidRequest, SandtopError
from sandtop.core.fleet import State
from sandtop.core.groups import unwrapped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sandtop.core.fleet import Fleet, Sandbox
    from sandtop.core.guest import GuestStore
    from sandtop.core.paths import Paths

log = logging.getLogger(__name__)
MAX_CLIENTS: Final = 512
_MAX_ID: Final = 64
_LAST_WORD: Final = 5.0
"""Seconds for a client to take the final answer."""

Result = dict[str, object]


class Server:
    """Answers the clients of one core."""

    def __init__(self, paths: Paths, fleet: Fleet, guest: GuestStore, nursery: trio.Nursery) -> None:
        self._paths = paths
        self._fleet = fleet
        self._once = Once(nursery, fleet.first_request)
        self._started_at = time.time()
        self._clients = 0
        self.stopping = trio.Event()
        ops = sandbox_ops
        self._long: dict[str, Callable[..., Awaitable[Result]]] = {
            "sandbox.create": partial(ops.create, fleet),
            "sandbox.start": partial(ops.start, fleet),
            "sandbox.stop": partial(ops.stop, fleet),
            "sandbox.restart": partial(ops.restart, fleet),
            "sandbox.pause": partial(ops.pause, fleet),
            "sandbox.resume": partial(ops.resume, fleet),
            "sandbox.rm": partial(ops.remove, fleet),
            "image.build": partial(ops.build_image, guest, fleet),
            "image.warm": partial(ops.warm_image, fleet),
            "core.stop": self._stop,
        }
        self._streaming: dict[str, Callable[..., Awaitable[Result | None]]] = {
            "sandbox.hold": partial(ops.hold, fleet),
            "session.exec": partial(session_ops.execute, fleet),
            "session.follow": partial(session_ops.follow, fleet),
            "session.logs": partial(session_ops.logs, fleet),
            "session.screen": partial(screen_ops.screen, fleet),
        }
        self._waiting: dict[str, Callable[..., Awaitable[Result]]] = {
            "sandbox.ping": partial(ops.ping, fleet),
            "image.list": partial(ops.list_images, guest, fleet),
            "image.rm": partial(ops.remove_image, guest, fleet),
            "session.signal": partial(session_ops.signal_session, fleet),
            "session.resize": partial(session_ops.resize_session, fleet),
            "session.rm": partial(session_ops.remove_session, fleet),
        }
        self._quick: dict[str, Callable[..., Result]] = {
            "core.status": self._status,
            "sandbox.list": partial(ops.list_sandboxes, fleet),
            "sandbox.inspect": partial(ops.inspect, fleet),
            "sandbox.acknowledge": partial(ops.acknowledge, fleet),
            "session.acknowledge": partial(session_ops.acknowledge_sessions, fleet),
            "session.list": partial(session_ops.list_sessions, fleet),
        }

    @property
    def operations(self) -> frozenset[str]:
        """What clients may ask for, by name."""
        return frozenset({*self._long, *self._streaming, *self._waiting, *self._quick})

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, from its first byte to its last."""
        connection = Connection(stream)
        self._clients += 1
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
            self._clients -= 1

    async def _converse(self, connection: Connection, scope: trio.CancelScope) -> None:
        answer: tuple[str, Mapping[str, object]] | None
        op = "?"
        try:
            connection.check_peer()
            if self._clients > MAX_CLIENTS:
                raise InvalidRequest(f"the core serves {MAX_CLIENTS} clients already", hint="close some")
            outdated = await self._greet(connection)
            request = await connection.receive_message("request")
            op = str(request.get("op"))[:60]
            if outdated and op != "core.stop":
                raise CoreOutdated(
                    f"the core is version {__version__}, older than its client", hint="sandtop core stop"
                )
            if op == LONG:
                request = await connection.receive_long(request)
                op = str(request.get("op"))[:60]
                if op != "session.exec":
                    raise InvalidRequest(f"a request for {op!r} must fit a frame")
            with unwrapped():
                result = await self._answer(connection, op, request)
            answer = ("result", result) if result is not None else None
        except SandtopError as error:
            answer = ("error", error.to_wire())
        except ProtocolError as error:
            answer = ("error", InvalidRequest(f"the client broke the protocol: {error}").to_wire())
        except (ClientGone, trio.BrokenResourceError):
            raise
        except Exception as error:
            answer = ("error", _fault(op, error).to_wire())
        if answer is not None:
            scope.deadline = trio.current_time() + _LAST_WORD
            await connection.message(*answer)

    async def _greet(self, connection: Connection) -> bool:
        """Exchange hellos. Whether the client is newer than this core."""
        hello = await connection.receive_message("hello")
        ours: Result = {"version": PROTOCOL, "package": __version__, "pid": os.getpid()}
        await connection.message("hello", ours)
        version = hello.get("version")
        if not isinstance(version, int) or version < PROTOCOL:
            raise InvalidRequest(
                f"this core speaks version {PROTOCOL} of the protocol", hint="upgrade the client"
            )
        return version > PROTOCOL or _release(hello.get("package")) > _release(__version__)

    async def _answer(self, connection: Connection, op: str, request: Mapping[str, object]) -> Result | None:
        if (quick := self._quick.get(op)) is not None:
            return quick(request)
        if (waiting := self._waiting.get(op)) is not None:
            return await waiting(request)
        if (streaming := self._streaming.get(op)) is not None:
            return await streaming(connection, request)
        long = self._long.get(op)
        if long is None:
            raise InvalidRequest(f"this core does not know the operation {op!r}", hint="is it too old?")
        request_id = request.get("request_id")
        if request_id is None:
            request_id = ""
        if not isinstance(request_id, str) or len(request_id) > _MAX_ID or not request_id.isascii():
            raise InvalidRequest(f"a request_id is at most {_MAX_ID} ASCII characters")
        return await self._once.do(request_id, partial(_boundary, op, long, request), connection)

    def _status(self, request: Mapping[str, object]) -> Result:
        sandboxes = self._fleet.all()
        return {
            "pid": os.getpid(),
            "version": __version__,
            "started_at": self._started_at,
            "sandboxes": len(sandboxes),
            "running": sum(sandbox.state is State.RUNNING for sandbox in sandboxes),
            "standing_by": sum(self._fleet.standing_by.values()),
            "socket": str(self._paths.core_socket),
            "home": str(self._paths.data),
        }

    async def _stop(
        self, request: Mapping[str, object], progress: Callable[[str], None], *, repeated: bool
    ) -> Result:
        failures: list[SandtopError] = []

        async def stop(sandbox: Sandbox) -> None:
            try:
                await sandbox.stop(force=False)
            except SandtopError as error:
                failures.append(error)

        if request.get("all") is True:
            async with trio.open_nursery() as nursery:
                for sandbox in self._fleet.all():
                    if sandbox.state in (State.RUNNING, State.PAUSED):
                        progress(f"stopping {sandbox.name}")
                        nursery.start_soon(stop, sandbox)
        if failures:
            raise failures[0]
        self.stopping.set()
        return {"pid": os.getpid()}


async def _boundary(
    op: str,
    operation: Callable[..., Awaitable[Result]],
    request: Mapping[str, object],
    progress: Callable[[str], None],
    repeated: bool,
) -> Result:
    """Runs an operation; a fault of ours in it is logged and told, and ends nothing but the operation."""
    try:
        with unwrapped():
            return await operation(request, progress, repeated=repeated)
    except SandtopError:
        raise
    except Exception as error:
        raise _fault(op, error) from error


def _fault(op: str, error: Exception) -> CoreFailure:
    log.error("operation %s failed", op, exc_info=error)
    return CoreFailure(f"sandtop met a fault of its own: {error!r}"[:300], hint="see the core's log")


def _release(version: object) -> tuple[int, ...]:
    """The numbers of ``version``, to compare; empty, so older than any, for what is none."""
    parts = version.split(".") if isinstance(version, str) else []
    return tuple(int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) < 6)
