"""How a sandbox becomes the spec of a machine: its image, what boots, the accelerator, and a template to go on from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import VSOCK_PORT
from sandtop.core.egress import OWN, RESOLVER
from sandtop.core.errors import InvalidRequest, NotFound
from sandtop.core.fleet.mounts import slots
from sandtop.core.fleet.room import MIB
from sandtop.core.guest import (
    KERNEL_ARGS,
    egress_argument,
    network_argument,
    reject_argument,
    vsock_argument,
)
from sandtop.core.guest.overlay import RECIPE as DISK_RECIPE
from sandtop.core.machine import Accelerator, Channel, MachineSpec, Network, check_memory, reaches_ipv6
from sandtop.core.templates import Kind, Shape, trial_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandtop.core.fleet.context import Context
    from sandtop.core.guest import BootFiles, GuestStore
    from sandtop.core.machine import Driver
    from sandtop.core.store import Ownership, SandboxRow
    from sandtop.core.templates import Template

    Progress = Callable[[str], None]

_ANY: Final = "auto"
"""The setting ``accelerator`` of whoever leaves the choice to the core."""


async def resolve_image(context: Context, name: str, progress: Progress) -> str:
    """The digest of the image called ``name``; the first use of ``base`` builds it. Raises `NotFound`."""
    return await trio.to_thread.run_sync(_resolve, context.guest, name, _from_thread(progress))


def _resolve(guest: GuestStore, name: str, progress: Progress) -> str:
    try:
        return guest.image(name).digest
    except NotFound:
        if name != "base":
            raise
    guest.prepare(progress)
    return guest.image(name).digest


async def machine_spec(
    context: Context, row: SandboxRow, overlay: Path, progress: Progress, *, accelerator: str = ""
) -> MachineSpec:
    """The machine for ``row``, with everything that it boots from built, but not its overlay disk.

    ``accelerator`` goes before what the sandbox and the settings want. Raises `MissingDependency`, `InvalidRequest`,
    `ImageError`, `StorageError`.
    """
    driver = context.driver
    await driver.find()
    check_memory(row.config.memory, row.name)
    files = await _boot_files(context, row, overlay, progress)
    wanted = accelerator or row.config.accelerator or context.settings.accelerator
    known = None if wanted == _ANY else Accelerator(wanted)
    trial = trial_of(files, context.paths.runtime)
    chosen = (await driver.choose_accelerator(trial, progress, wanted=known)).accelerator
    choice = await trio.to_thread.run_sync(driver.choose_channel)
    spec = _spec(driver, row, overlay, files, chosen, choice.channel)
    return replace(spec, channel_reason=choice.reason)


async def spec_of_running(
    context: Context, row: SandboxRow, overlay: Path, ownership: Ownership, progress: Progress
) -> MachineSpec:
    """As `machine_spec`, for a machine that an earlier core started and left this of."""
    files = await _boot_files(context, row, overlay, progress)
    channel = Channel.VIRTIO_SERIAL if ownership.cid is None else Channel.VSOCK
    return _spec(context.driver, row, overlay, files, Accelerator(ownership.accelerator), channel)


async def _boot_files(context: Context, row: SandboxRow, overlay: Path, progress: Progress) -> BootFiles:
    def find() -> BootFiles:
        overlay.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return context.guest.boot_files(row.image_digest, _from_thread(progress))

    return await trio.to_thread.run_sync(find)


def _spec(
    driver: Driver,
    row: SandboxRow,
    overlay: Path,
    files: BootFiles,
    accelerator: Accelerator,
    channel: Channel,
) -> MachineSpec:
    network = Network(row.config.network)
    for thing, can in ((accelerator, driver.info.accelerators), (network, driver.info.networks)):
        if thing not in can:
            raise InvalidRequest(
                f"the machines of {driver.info.name} cannot have {thing.value}",
                sandbox=row.name,
                hint=f"they can have {', '.join(sorted(each.value for each in can))}",
            )
    addresses = driver.guest_network(network)
    words = [*KERNEL_ARGS]
    if addresses is not None:
        words.append(
            network_argument(addresses.address, addresses.netmask, addresses.gateway, addresses.resolver)
        )
        if addresses.reject_gateway:
            words.append(reject_argument(addresses.gateway))
    if network is Network.FILTERED:
        words.append(egress_argument(OWN, RESOLVER))
    if channel is Channel.VSOCK:
        words.append(vsock_argument(VSOCK_PORT))
    return MachineSpec(
        uuid=row.uuid,
        name=row.name,
        kernel=files.kernel,
        initramfs=files.initramfs,
        arguments=" ".join(words),
        image=files.image,
        overlay=overlay,
        memory_mib=row.config.memory,
        cpus=row.config.cpus,
        network=network,
        ipv6=network.has_device and reaches_ipv6(),
        accelerator=accelerator,
        channel=channel,
        slots=slots(row.config),
    )


async def blank_overlay(context: Context, row: SandboxRow, overlay: Path, progress: Progress) -> None:
    """Make the overlay disk of a sandbox that has none. Raises `StorageError` …"""
    size = row.config.disk * MIB
    await trio.to_thread.run_sync(context.guest.create_overlay, overlay, size, _from_thread(progress))


async def template_for(
    context: Context, row: SandboxRow, spec: MachineSpec, kind: Kind, progress: Progress
) -> Template | None:
    """The template to start ``spec`` from; None when it has to boot."""
    shape = Shape(kind, row.image_digest, row.config.disk * MIB, DISK_RECIPE)
    return await context.templates.get(shape, spec, progress)


def _from_thread(progress: Progress) -> Progress:
    """``progress``, to be called in a worker thread."""
    return lambda line: trio.from_thread.run_sync(progress, line)
