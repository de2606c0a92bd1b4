"""``sandbox.top`` and ``sandbox.console``: what runs in one sandbox, and what its guest's kernel prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import encode, split
from sandtop.core.contract.record import Nothing
from sandtop.core.contract.sandbox import Processes, SandboxConsole, SandboxTop
from sandtop.core.daemon.dispatch import answers, serves
from sandtop.core.errors import from_os_error
from sandtop.core.fleet.state import ALIVE
from sandtop.core.fleet.top import processes
from sandtop.core.groups import unwrapped
from sandtop.core.machine.console import ConsoleReader

if TYPE_CHECKING:
    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.dispatch import Core

_POLL: Final = 0.25
"""Seconds between two looks at a console that is followed."""
_STDOUT: Final = 1


@answers(SandboxTop)
async def top(core: Core, request: SandboxTop) -> Processes:
    sandbox = core.fleet.get(request.sandbox)
    await sandbox.adopted()
    return await processes(sandbox)


@serves(SandboxConsole)
async def console(core: Core, request: SandboxConsole, connection: Connection) -> Nothing:
    sandbox = core.fleet.get(request.sandbox)
    await sandbox.adopted()
    offset = 0
    try:
        with unwrapped(), ConsoleReader(sandbox.console) as reader:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.until_gone)
                data = reader.begin(request.tail)
                while True:
                    lives = sandbox.state in ALIVE  # asked before the look, or the last words could be missed
                    for frame in split(_STDOUT, offset, data):
                        await connection.send_bytes(encode(frame))
                    offset += len(data)
                    if not request.follow or not (data or lives):
                        break
                    if not data:
                        await trio.sleep(_POLL)
                    data = reader.read()
                nursery.cancel_scope.cancel()
    except OSError as error:
        raise from_os_error(error, "cannot read the console log", sandbox=sandbox.name) from error
    return Nothing()
