"""The operations on sandboxes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import trio

from sandtop.core.contract.record import Nothing
from sandtop.core.contract.sandbox import (
    Held,
    Inspection,
    Pong,
    SandboxAcknowledge,
    SandboxAnswer,
    SandboxCreate,
    SandboxHold,
    SandboxInspect,
    SandboxList,
    SandboxPage,
    SandboxPause,
    SandboxPing,
    SandboxRemove,
    SandboxRestart,
    SandboxResume,
    SandboxStart,
    SandboxStop,
    SandboxUpdate,
)
from sandtop.core.daemon.connection import ClientGone
from sandtop.core.daemon.dispatch import answers, makes, serves
from sandtop.core.daemon.net_ops import lines
from sandtop.core.daemon.pulling import obtain
from sandtop.core.daemon.views import page, sandbox_view
from sandtop.core.egress import TRUST, rows_of, values_of
from sandtop.core.egress.addresses import HOST
from sandtop.core.errors import InvalidRequest, NotFound
from sandtop.core.fleet import State
from sandtop.core.fleet.mounts import checked
from sandtop.core.guest import ContainerConfig
from sandtop.core.store import SandboxConfig

if TYPE_CHECKING:
    from sandtop.core.contract.image import ImageWarm
    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.dispatch import Core
    from sandtop.core.daemon.once import Work

DEFAULT = SandboxConfig()
"""What a sandbox is made with where its request does not say."""


def shape_of(request: SandboxCreate | ImageWarm) -> SandboxConfig:
    """What a request says that a template is made for."""
    return SandboxConfig(
        image=request.image or DEFAULT.image,
        cpus=request.cpus or DEFAULT.cpus,
        memory=request.memory or DEFAULT.memory,
        disk=request.disk or DEFAULT.disk,
        network=request.network or DEFAULT.network,
        accelerator=request.accelerator or DEFAULT.accelerator,
    )


def reachable(request: SandboxCreate) -> tuple[str, tuple[str, ...]]:
    """The kind of network, and the lines of the allow-list. Raises `InvalidRequest`."""
    if request.allow is None and not request.secrets:
        return request.network or DEFAULT.network, ()
    what = "an allow-list" if request.allow is not None else "secrets"
    if request.network in ("none", "user:host-loopback"):
        loopback = (
            "" if request.network == "none" else f"; a rule such as {HOST}:8080 allows a port of the loopback"
        )
        raise InvalidRequest(
            f"{request.name} cannot have the network {request.network} and {what}",
            sandbox=request.name,
            hint=f"{'the list makes' if request.allow is not None else 'they make'} it filtered: leave the network out"
            + loopback,
        )
    return "filtered", lines(request.allow or (), request.name)


def keyed(config: SandboxConfig, request: SandboxCreate) -> SandboxConfig:
    """``config`` with the secrets of ``request``: allowed are their hosts, and variables have the placeholders and
    whom to trust. Raises `InvalidRequest`."""
    rows = rows_of(request.secrets or (), request.name)
    if not rows:
        return config
    for row in rows:
        if row.name in (request.env or {}):
            raise InvalidRequest(
                f"{row.name} of {request.name} cannot be a variable and a secret", sandbox=request.name
            )
    allow = lines((*config.allow, *(f"{row.host}:{row.port}" for row in rows)), request.name)
    env = {**TRUST, **config.env, **{row.name: row.placeholder for row in rows}}
    return dataclasses.replace(config, secrets=rows, allow=allow, env=env)


@makes(SandboxCreate)
async def create(core: Core, request: SandboxCreate, work: Work) -> SandboxAnswer:
    config = await _configured(core, request, work)
    request_id = request.request_id or ""
    sandbox = await core.fleet.create(
        request.name, config, request_id, work.progress, cold=request.cold,
        values=values_of(request.secrets or ()),
    )  # fmt: skip
    return SandboxAnswer(sandbox=sandbox_view(sandbox))


async def _configured(core: Core, request: SandboxCreate, work: Work) -> SandboxConfig:
    """What the sandbox is made with: as the request says, then its image's configuration, then our defaults."""
    core.fleet.check_free(request.name, request.request_id or "")
    image = await obtain(core, request.image or DEFAULT.image, request.docker_config, work)
    said = image.container.config if image is not None and image.container is not None else ContainerConfig()
    network, allow = reachable(request)
    shape = shape_of(request)
    config = dataclasses.replace(
        shape,
        network=network,
        allow=allow,
        image=image.name if image is not None else request.image or DEFAULT.image,
        env={**said.env, **(request.env or {})},
        workdir=request.workdir or said.workdir or DEFAULT.workdir,
        shell=request.shell or DEFAULT.shell,
        user=request.user or said.user or DEFAULT.user,
        labels={**said.labels, **(request.labels or {})},
        ephemeral=request.ephemeral,
        publish=tuple((each.address, each.host_port, each.guest_port) for each in request.publish or ()),
        stop_signal=said.stop_signal,
        mounts=checked(request.mounts or (), shape.memory),
    )
    return keyed(config, request)


@makes(SandboxUpdate)
async def update(core: Core, request: SandboxUpdate, work: Work) -> SandboxAnswer:
    sandbox = core.fleet.get(request.sandbox)
    await sandbox.adopted()
    if request.disk is not None:
        await core.fleet.grow_disk(sandbox, request.disk, work.progress)
    return SandboxAnswer(sandbox=sandbox_view(sandbox))


@makes(SandboxStart)
async def start(core: Core, request: SandboxStart, work: Work) -> SandboxAnswer:
    sandbox = core.fleet.get(request.sandbox)
    if not (work.repeated and sandbox.state is State.RUNNING):
        await sandbox.start(work.progress, cold=request.cold, accelerator=request.accelerator or "")
    return SandboxAnswer(sandbox=sandbox_view(sandbox))


@makes(SandboxStop)
async def stop(core: Core, request: SandboxStop, work: Work) -> SandboxAnswer:
    sandbox = core.fleet.get(request.sandbox)
    if not (work.repeated and sandbox.state is State.STOPPED):
        await sandbox.stop(force=request.force)
    return SandboxAnswer(sandbox=sandbox_view(sandbox))


@makes(SandboxRestart)
async def restart(core: Core, request: SandboxRestart, work: Work) -> SandboxAnswer:
    sandbox = core.fleet.get(request.sandbox)
    accelerator = request.accelerator or ""
    await sandbox.restart(work.progress, force=request.force, cold=request.cold, accelerator=accelerator)
    return SandboxAnswer(sandbox=sandbox_view(sandbox))


@makes(SandboxPause)
async def pause(core: Core, request: SandboxPause, work: Work) -> SandboxAnswer:
    sandbox = core.fleet.get(request.sandbox)
    if not (work.repeated and sandbox.state is State.PAUSED):
        await sandbox.pause()
    return SandboxAnswer(sandbox=sandbox_view(sandbox))


@makes(SandboxResume)
async def resume(core: Core, request: SandboxResume, work: Work) -> SandboxAnswer:
    sandbox = core.fleet.get(request.sandbox)
    if not (work.repeated and sandbox.state is State.RUNNING and sandbox.stands_still is None):
        await sandbox.resume()
    return SandboxAnswer(sandbox=sandbox_view(sandbox))


@makes(SandboxRemove)
async def remove(core: Core, request: SandboxRemove, work: Work) -> Nothing:
    try:
        sandbox = core.fleet.get(request.sandbox)
    except NotFound:
        if work.repeated:
            return Nothing()
        raise
    await core.fleet.remove(sandbox, force=request.force, keep_history=request.keep_history)
    return Nothing()


@answers(SandboxAcknowledge)
async def acknowledge(core: Core, request: SandboxAcknowledge) -> SandboxAnswer:
    sandbox = core.fleet.get(request.sandbox)
    alerted = sandbox.alerts.acknowledge(undo=request.undo)
    if not alerted or sandbox.state in (State.FAILED, State.LOST):
        sandbox.record.acknowledge(undo=request.undo)
    return SandboxAnswer(sandbox=sandbox_view(sandbox))


@answers(SandboxList)
async def list_sandboxes(core: Core, request: SandboxList) -> SandboxPage:
    await core.fleet.look_at_disks(*core.fleet.all())
    found, more = page(core.fleet.all(), sandbox_view, "uuid", request.before)
    return SandboxPage(sandboxes=found, more=more)


@answers(SandboxInspect)
async def inspect(core: Core, request: SandboxInspect) -> Inspection:
    sandbox = core.fleet.get(request.sandbox)
    await core.fleet.look_at_disks(sandbox)
    machine: dict[str, object] | None = None
    if sandbox.machine is not None:
        machine = sandbox.machine.vm.facts(sandbox.machine.spec)
    return Inspection(
        sandbox=sandbox_view(sandbox),
        machine=machine,
        timings=dict(sandbox.timings),
        console=sandbox.machine.vm.console_tail() if sandbox.machine else None,
        image_digest=sandbox.row.image_digest,
        folder=str(sandbox.folder),
    )


@answers(SandboxPing)
async def ping(core: Core, request: SandboxPing) -> Pong:
    sandbox = core.fleet.get(request.sandbox)
    await sandbox.adopted()
    return Pong(seconds=await sandbox.running_machine("ping").link.ping())


@serves(SandboxHold)
async def hold(core: Core, request: SandboxHold, connection: Connection) -> None:
    """The sandbox lives as long as this connection, if it was made ephemeral."""
    sandbox = core.fleet.get(request.sandbox)
    core.fleet.hold(sandbox)
    try:
        await connection.tell(Held(sandbox=sandbox_view(sandbox)))
        while True:
            await connection.receive()
    except ClientGone:
        return
    finally:
        with trio.CancelScope(shield=True):
            await core.fleet.let_go(sandbox)
