"""What every sandbox needs of the core around it."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import trio

from sandtop.core.errors import NotFound
from sandtop.core.fleet.room import Space, space
from sandtop.core.guest import KERNEL_ARGS, GuestStore
from sandtop.core.guest.overlay import RECIPE as DISK_RECIPE
from sandtop.core.machine import (
    Accelerator,
    Accelerators,
    MachineSpec,
    Network,
    Qemu,
    check_memory,
    find_qemu,
)
from sandtop.core.machine.qemu.program import QEMU
from sandtop.core.templates import Kind, Lease, Shape, Templates, trial_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandtop.core.paths import Paths
    from sandtop.core.screens.screens import Screens
    from sandtop.core.settings import Settings
    from sandtop.core.store import Database, SandboxRow

log = logging.getLogger(__name__)
MIB = 1 << 20


def _one_a_processor() -> trio.CapacityLimiter:
    return trio.CapacityLimiter(max(2, len(os.sched_getaffinity(0))))


@dataclass(slots=True)
class Context:
    """Shared by all sandboxes of a core. ``nursery`` owns what accompanies their machines.

    ``starting`` is held from a machine's launch until its agent is ready: more of them at once than the host has
    processors would only all be late.
    """

    paths: Paths
    database: Database
    settings: Settings
    nursery: trio.Nursery
    guest: GuestStore
    templates: Templates
    screens: Screens
    starting: trio.CapacityLimiter = field(default_factory=_one_a_processor)
    accelerators: Accelerators = field(init=False)
    room: Space | None = None
    """What the disk of the sandboxes had when it was looked at last; None when that cannot be known."""
    _qemu: Qemu | None = None
    _qemu_stamp: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        self.accelerators = Accelerators(self.paths.cache)

    def look_at_room(self) -> Space | None:
        """Look at the disk of the sandboxes now. Blocks as long as that disk does."""
        try:
            self.room = space(self.paths.sandboxes, self.settings.disk_reserve_bytes)
        except OSError as error:
            if self.room is not None:
                log.warning("the disk of the sandboxes cannot be asked for its room: %s", error)
            self.room = None
        return self.room

    async def find_qemu(self) -> Qemu:
        """QEMU, asked for its version again only when the program has changed. Raises `MissingDependency`."""
        path = shutil.which(QEMU)
        stamp = (path, os.stat(path).st_mtime_ns) if path else None
        if self._qemu is None or stamp != self._qemu_stamp:
            self._qemu, self._qemu_stamp = await trio.to_thread.run_sync(find_qemu), stamp
        return self._qemu

    async def _accelerator(
        self, row: SandboxRow, asked: str, qemu: Qemu, progress: Callable[[str], None]
    ) -> Accelerator:
        """What is to run the guest: what this start, the sandbox or the settings want, or the best that works."""
        wanted = asked or row.config.accelerator or self.settings.accelerator
        known = None if wanted == "auto" else Accelerator(wanted)
        trial = await trio.to_thread.run_sync(
            trial_of, self.guest, row.image_digest, self.paths.runtime, _from_thread(progress)
        )
        return (await self.accelerators.choose(qemu, trial, progress, wanted=known)).accelerator

    async def resolve_image(self, name: str, progress: Callable[[str], None]) -> str:
        """The digest of the image called ``name``; the first use of ``base`` builds it. Raises `NotFound`."""
        return await trio.to_thread.run_sync(partial(self._resolve, name, _from_thread(progress)))

    def _resolve(self, name: str, progress: Callable[[str], None]) -> str:
        try:
            return self.guest.image(name).digest
        except NotFound:
            if name != "base":
                raise
        self.guest.prepare(progress)
        return self.guest.image(name).digest

    async def spec(
        self, row: SandboxRow, overlay: Path, progress: Callable[[str], None], *, accelerator: str = ""
    ) -> MachineSpec:
        """The machine for ``row``, with everything that it boots from built, but not its overlay disk.

        ``accelerator`` goes before what the sandbox and the settings want.

        Raises `MissingDependency`, `InvalidRequest`, `ImageError`, `StorageError`.
        """
        qemu = await self.find_qemu()
        check_memory(row.config.memory, row.name)
        chosen = await self._accelerator(row, accelerator, qemu, progress)
        return await trio.to_thread.run_sync(self.files, row, overlay, chosen, _from_thread(progress))

    async def blank_overlay(self, row: SandboxRow, overlay: Path, progress: Callable[[str], None]) -> None:
        """Make the overlay disk of a sandbox that has none. Raises `StorageError` …"""
        tell = _from_thread(progress)
        await trio.to_thread.run_sync(self.guest.create_overlay, overlay, row.config.disk * MIB, tell)

    async def template(
        self, row: SandboxRow, spec: MachineSpec, kind: Kind, progress: Callable[[str], None]
    ) -> Lease | None:
        """The template to start ``spec`` from; None when it has to boot."""
        shape = Shape(kind, row.image_digest, row.config.disk * MIB, DISK_RECIPE, await self.find_qemu())
        return await self.templates.get(shape, spec, progress)

    def files(
        self, row: SandboxRow, overlay: Path, accelerator: Accelerator, progress: Callable[[str], None]
    ) -> MachineSpec:
        """As `spec`, blocking, for an accelerator that is known."""
        kernel, runtime = self.guest.kernel(progress), self.guest.runtime(progress)
        image = self.guest.image_path(row.image_digest)
        overlay.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        words = KERNEL_ARGS if row.config.network == "none" else (*KERNEL_ARGS, "sandtop.network=user")
        return MachineSpec(
            uuid=row.uuid,
            name=row.name,
            kernel=kernel.image,
            initramfs=runtime.initrd,
            arguments=" ".join(words),
            image=image,
            overlay=overlay,
            memory_mib=row.config.memory,
            cpus=row.config.cpus,
            network=Network(row.config.network),
            accelerator=accelerator,
        )


def _from_thread(progress: Callable[[str], None]) -> Callable[[str], None]:
    """``progress``, to be called in a worker thread."""
    return lambda line: trio.from_thread.run_sync(progress, line)
