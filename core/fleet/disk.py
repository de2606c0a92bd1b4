"""The disk of a sandbox: made larger, while it runs or not.

The size that is wanted is stored first. Then the file is made longer, and the guest's kernel grows its file system,
which is in use. A core that dies in between, or a sandbox that does not run, leaves the rest to its next start.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from sandtop.core.errors import InvalidRequest, StorageError, from_os_error
from sandtop.core.files import FileFailed
from sandtop.core.fleet.room import MIB, mib
from sandtop.core.fleet.state import State, require
from sandtop.core.sessions import printable

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.fleet.sandbox import Sandbox
    from sandtop.core.fleet.supervision import Owner
    from sandtop.core.machine import Machine


async def grow(sandbox: Sandbox, disk: int) -> None:
    """Give ``sandbox`` a disk of so many MiB. Raises `InvalidRequest` for less, `WrongState`, `StorageError` …"""
    async with sandbox.lifecycle:
        config = sandbox.row.config
        if disk < config.disk:
            raise InvalidRequest(
                f"the disk of {sandbox.name} has {mib(config.disk * MIB)}: it cannot become smaller",
                sandbox=sandbox.name,
            )
        if disk == config.disk and not config.grown:
            return
        states = {State.RUNNING, State.STOPPED, State.FAILED, State.LOST}
        require(sandbox.name, sandbox.state, frozenset(states), "grow the disk of")
        machine = sandbox.running_machine("grow the disk of") if sandbox.state is State.RUNNING else None
        if machine is not None:
            await _check_limit(sandbox, disk)
        sandbox.record.configure(dataclasses.replace(config, disk=disk, grown=True))
        if machine is not None:
            await _grow_now(sandbox, machine.vm)


async def _check_limit(sandbox: Sandbox, disk: int) -> None:
    """Raises `InvalidRequest` when the guest's file system cannot grow so far."""
    files = sandbox.sessions.files
    try:
        async with files.call("limit", {}, "root", kind="mounts") as call:
            most = (await call.answer()).get("bytes")
    except FileFailed as failure:
        raise StorageError(
            f"the disk of {sandbox.name} cannot be looked at: {printable(failure.why)}", sandbox=sandbox.name
        ) from failure
    finally:
        files.end_mounting()
    if isinstance(most, int) and most < disk * MIB:
        raise InvalidRequest(
            f"the disk of {sandbox.name} can grow to {mib(most)} at most", sandbox=sandbox.name,
            hint="how far is settled when it is made, and none of an older sandtop can: copy what is in it to another",
        )  # fmt: skip


async def _grow_now(sandbox: Sandbox, vm: Machine) -> None:
    await vm.lengthen(sandbox.row.config.disk * MIB)
    await grow_in_guest(sandbox)


async def grow_in_guest(sandbox: Owner) -> None:
    """Have the guest's file system take up all of its disk. Raises `StorageError`, `ChannelError`."""
    size, files = sandbox.row.config.disk * MIB, sandbox.sessions.files
    try:
        async with files.call("grow", {"bytes": size}, "root", kind="mounts") as call:
            await call.answer()
    except FileFailed as failure:
        raise StorageError(
            f"the disk of {sandbox.name} is larger, but not its file system: {printable(failure.why)}",
            sandbox=sandbox.name,
            hint=f"sandtop restart {sandbox.name} tries it again",
        ) from failure
    finally:
        files.end_mounting()
    sandbox.record.configure(dataclasses.replace(sandbox.row.config, grown=False))


def lengthen_file(path: Path, disk: int) -> None:
    """Make the overlay disk of a machine that does not run as long as ``disk`` MiB says. Raises `StorageError`."""
    try:
        if path.exists() and path.stat().st_size < disk * MIB:
            os.truncate(path, disk * MIB)
    except OSError as error:
        raise from_os_error(error, "making the disk larger") from error
