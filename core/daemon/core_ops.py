"""The operations on the core itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import trio

from sandtop import __version__
from sandtop.core.contract.core import Address, CoreStatus, Metrics, Status, Stop, Stopped
from sandtop.core.daemon.dispatch import answers, makes
from sandtop.core.errors import SandtopError
from sandtop.core.fleet import State

if TYPE_CHECKING:
    from sandtop.core.daemon.dispatch import Core
    from sandtop.core.daemon.once import Work
    from sandtop.core.fleet import Sandbox


@answers(Status)
async def status(core: Core, request: Status) -> CoreStatus:
    sandboxes = core.fleet.all()
    return CoreStatus(
        pid=os.getpid(),
        version=__version__,
        started_at=core.started_at,
        sandboxes=len(sandboxes),
        running=sum(sandbox.state is State.RUNNING for sandbox in sandboxes),
        standing_by=sum(core.fleet.warm_machines.values()),
        socket=str(core.paths.core_socket),
        home=str(core.paths.data),
    )


@makes(Metrics)
async def serve_metrics(core: Core, request: Metrics, work: Work) -> Address:
    if request.address is not None:
        await core.metrics.serve(request.address)
    return Address(address=core.metrics.address)


@makes(Stop)
async def stop(core: Core, request: Stop, work: Work) -> Stopped:
    if request.all:
        await _stop_machines(core, work)
    core.stopping.set()
    return Stopped(pid=os.getpid())


async def _stop_machines(core: Core, work: Work) -> None:
    """Stop every sandbox that runs. Raises the first `SandtopError`, once all others were stopped."""
    failures: list[SandtopError] = []

    async def stop_one(sandbox: Sandbox) -> None:
        try:
            await sandbox.stop(force=False)
        except SandtopError as error:
            failures.append(error)

    async with trio.open_nursery() as nursery:
        for sandbox in core.fleet.all():
            if sandbox.state in (State.RUNNING, State.PAUSED):
                work.progress(f"stopping {sandbox.name}")
                nursery.start_soon(stop_one, sandbox)
    if failures:
        raise failures[0]
