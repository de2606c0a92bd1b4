"""A core for the files of one sandbox: the real server and its handlers, before a real agent that is a process here.

What is missing is what has nothing to do with files: a fleet, machines, images. tests/vm/sessions/test_files.py says
the same of the whole.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import trio
from tests.core.channel.scripted import running_core
from tests.core.channel.test_left import agent_in

from sandtop.core import paths
from sandtop.core.daemon.server import Server
from sandtop.core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.agent.conftest import HostedAgent
    from tests.core.channel.scripted import Core

NAME = "box"


class Desk:
    """The core, while it runs.

    Attributes:
        agent: the agent's process.
        core: what of the core is behind the server; to be touched by `do` alone.
    """

    def __init__(self, folder: Path, workdir: str) -> None:
        self._folder = folder
        self.workdir = workdir
        self._ready = threading.Event()
        self._over = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self.failure: BaseException | None = None
        self.agent: HostedAgent
        self.core: Core

    def run(self) -> None:
        """To be run in a thread."""
        try:
            trio.run(self._main)
        except BaseException as error:
            self.failure = error
        finally:
            self._ready.set()

    def wait(self) -> None:
        assert self._ready.wait(30)
        if self.failure is not None:
            raise self.failure

    def do(self, what: Callable[[], object]) -> object:
        """Call ``what`` in the core's thread; what it returns."""
        return trio.from_thread.run_sync(what, trio_token=self._token)

    def stop(self) -> None:
        with suppress(trio.RunFinishedError):
            self.do(self._over.set)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with (
            agent_in(self._folder) as agent,
            running_core(self._folder) as core,
            trio.open_nursery() as nursery,
        ):
            self.agent, self.core = agent, core
            await core.link.wait_up(20)
            server = Server(cast("Any", SimpleNamespace(fleet=_Fleet(core, self.workdir))), nursery)
            path = paths.find().core_socket
            with trio.socket.socket(socket.AF_UNIX) as bound:
                await bound.bind(str(path))
                bound.listen(64)
                nursery.start_soon(trio.serve_listeners, server.serve, [trio.SocketListener(bound)])
                self._ready.set()
                await self._over.wait()
                nursery.cancel_scope.cancel()


class _Fleet:
    """The sandbox, and no other."""

    def __init__(self, core: Core, workdir: str) -> None:
        async def adopted() -> None: ...

        def running_machine(_doing: str) -> None: ...

        row = SimpleNamespace(config=SimpleNamespace(workdir=workdir))
        self._sandbox = SimpleNamespace(
            name=NAME, row=row, sessions=core.sessions, adopted=adopted, running_machine=running_machine
        )

    def get(self, name: str) -> object:
        if name != NAME:
            raise NotFound(f"no sandbox {name}")
        return self._sandbox

    def first_request(self, _key: str) -> bool:
        return True


@contextmanager
def desk(folder: Path, workdir: str = "/") -> Generator[Desk]:
    """The core at the place where clients look for one."""
    paths.ensure_private(paths.find().runtime)
    one = Desk(folder, workdir)
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        one.wait()
        yield one
    finally:
        one.stop()
        thread.join(30)
        paths.find().core_socket.unlink(missing_ok=True)
    assert not thread.is_alive()
    if one.failure is not None:
        raise one.failure
