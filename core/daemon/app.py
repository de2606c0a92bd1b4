"""The core's main program: opens what it needs, adopts, listens, until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import trio

from sandtop import __version__
from sandtop.core import open_files
from sandtop.core.daemon.dispatch import Core
from sandtop.core.daemon.locks import lock
from sandtop.core.daemon.metrics import MetricsServer
from sandtop.core.daemon.server import Server
from sandtop.core.daemon.supervisor import ALREADY_RUNNING, UMASK
from sandtop.core.errors import EXIT_SANDTOP_FAILED, SandtopError, from_os_error
from sandtop.core.fleet import Context, Fleet
from sandtop.core.groups import unwrapped
from sandtop.core.guest import GuestStore
from sandtop.core.machine.registry import driver_for
from sandtop.core.paths import find
from sandtop.core.screens.screens import Screens
from sandtop.core.settings import Settings
from sandtop.core.store import Database
from sandtop.core.templates import Templates

if TYPE_CHECKING:
    from collections.abc import Generator

    from sandtop.core.paths import Paths

log = logging.getLogger(__name__)
_DESCRIPTORS = 65_536
"""Three a running session and one a client soon exceed the usual 1024."""
_BACKLOG = 1024


class _AnotherCore(Exception):
    """The lock is held."""


def serve(channel: str | None) -> int:
    """Be the core until stopped; the exit status. ``channel`` goes before the setting of that name."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    os.umask(UMASK)
    open_files.limit(_DESCRIPTORS)
    try:
        paths = find()
        paths.ensure()
        with _single_instance(paths), unwrapped():
            trio.run(_main, paths, channel)
    except _AnotherCore:
        return ALREADY_RUNNING
    except SandtopError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_SANDTOP_FAILED
    return 0


@contextmanager
def _single_instance(paths: Paths) -> Generator[None]:
    descriptor = lock(paths.core_lock)
    if descriptor is None:
        raise _AnotherCore
    try:
        yield
    finally:
        os.close(descriptor)


async def _main(paths: Paths, channel: str | None = None) -> None:
    settings = Settings.load(paths.settings)
    with Database(paths.database) as database, ExitStack() as until_all_ended:
        async with trio.open_nursery() as nursery:
            guest = GuestStore(paths, release=settings.guest_release)
            driver = driver_for(paths, channel or settings.channel, settings.translation_cache_mib)
            templates = Templates(paths, driver, nursery, settings.boot_seconds)
            screens = Screens(nursery)
            context = Context(paths, database, settings, nursery, driver, guest, templates, screens)
            fleet = Fleet(until_all_ended.enter_context(context))
            nursery.start_soon(screens.run)
            await fleet.adopt_all()
            nursery.start_soon(fleet.maintain)
            metrics = MetricsServer(paths, fleet, nursery)
            core = Core(paths, fleet, guest, time.time(), trio.Event(), metrics)
            server = Server(core, nursery)
            fleet.watch.clients = lambda: server.clients
            await metrics.begin(settings.metrics)
            nursery.start_soon(_stop_on_signal, core)
            listener = _listen(paths)
            nursery.start_soon(trio.serve_listeners, server.serve, [listener])
            log.info("sandtop %s, pid %d, listens on %s", __version__, os.getpid(), paths.core_socket)
            fleet.events.add("core-started", f"sandtop {__version__}, pid {os.getpid()}")
            await core.stopping.wait()
            await trio.sleep(0.05)  # the answer to `core stop` is on its way
            paths.core_socket.unlink(missing_ok=True)
            fleet.events.add("core-stopped", "machines go on")
            metrics.stop()
            await fleet.close()
            nursery.cancel_scope.cancel()
    log.info("stopped; machines go on")


def _listen(paths: Paths) -> trio.SocketListener:
    path = paths.core_socket
    raw = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        previous = os.umask(0o177)
        try:
            raw._sock.bind(os.fspath(path))  # type: ignore[attr-defined]
        finally:
            os.umask(previous)
    except OSError as error:
        raise from_os_error(error, f"cannot listen on {path}") from error
    raw.listen(_BACKLOG)
    return trio.SocketListener(raw)


async def _stop_on_signal(core: Core) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            core.stopping.set()
