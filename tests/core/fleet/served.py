"""A core in this process that clients of this process are answered by, in real time."""

from __future__ import annotations

import socket
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio
from tests.settings import SLOWER

from sandtop.core.client.link import asynchronous
from sandtop.core.daemon.dispatch import Core as Daemon
from sandtop.core.daemon.metrics import MetricsServer
from sandtop.core.daemon.server import Server
from sandtop.core.groups import unwrapped

from .lab import Lab

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    import pytest

    from .lab import Core

PATIENCE = 30 * SLOWER


def in_real_time(home: Path, cache: Path, case: Callable[[Lab], Awaitable[None]]) -> None:
    """Run ``case`` with a lab below ``home``."""

    async def main() -> None:
        with trio.fail_after(2 * PATIENCE), unwrapped():
            async with trio.open_nursery() as outside:
                lab = Lab(home / "home", cache, outside)
                lab.world.boot_seconds = 0.0
                await case(lab)
                lab.world.close()

    trio.run(main)


@asynccontextmanager
async def serving(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Core]:
    """A core that clients of this process are answered by."""
    async with lab.core() as core, trio.open_nursery() as nursery:
        metrics = MetricsServer(lab.paths, core.fleet, nursery)
        daemon = Daemon(lab.paths, core.fleet, core.context.guest, time.time(), trio.Event(), metrics)
        path = lab.paths.core_socket
        path.unlink(missing_ok=True)
        listening = trio.socket.socket(socket.AF_UNIX)
        await listening.bind(str(path))
        listening.listen()
        server = Server(daemon, nursery)
        nursery.start_soon(partial(trio.serve_listeners, server.serve, [trio.SocketListener(listening)]))
        monkeypatch.setattr(asynchronous, "runtime_directory", lambda: str(path.parent))
        yield core
        nursery.cancel_scope.cancel()
