"""Saving what a machine is at one moment, and going on from there in another.

The memory is not copied: with QEMU's migration capability x-ignore-shared it stays in the file that the saved machine
wrote to, and each machine that goes on from it maps that file privately. What is saved is the state of the devices,
some tens of KiB. Both ends must have the same devices, memory size and QEMU. The state goes through a descriptor that
QEMU is handed: under ``-sandbox on,spawn=deny`` it cannot start a program to write it, nor open a path of the user's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.errors import MachineError, from_os_error

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.machine.qemu.qmp import QmpClient

SAVE_DEADLINE: Final = 30.0
"""Seconds for QEMU to write the devices' state. It takes some 10 ms; a disk may be slow."""

LOAD_DEADLINE: Final = 30.0
"""Seconds for QEMU to read the state: 7 to 20 ms, on a host whose processors are all busy much longer."""

_POLL: Final = 0.002
"""Seconds between questions after the end of a migration that takes a few times that."""

_DESCRIPTOR: Final = "state"
_SET: Final = 9
"""The set of descriptors with the state's alone; disks have lower ones."""

_TAKES_FILES: Final = (9, 1)
"""From this QEMU on ``fd:`` with a file is deprecated, for ``file:`` with a set of descriptors (its deprecated.rst)."""


async def save(monitor: QmpClient, name: str, state: Path) -> None:
    """Stop a machine that was started with a memory file, and write its devices' state to the new file ``state``.

    It stays stopped. Its disks are whole on the host when this returns. Raises `MachineError`, `StorageError`.
    """
    await monitor.execute("stop")
    try:
        descriptor = os.open(state, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise from_os_error(error, "saving a machine's state") from error
    try:
        uri = await _pass(monitor, descriptor)
        await monitor.execute("migrate", uri=uri)
        await _finished(monitor, name, SAVE_DEADLINE)
    finally:
        os.close(descriptor)


async def load(monitor: QmpClient, name: str, state: Path) -> None:
    """Have a machine that waits for it take up the ``state`` that `save` wrote. It stays stopped.

    Raises `MachineError` when QEMU does not take it (QEMU then ends), `StorageError` when it cannot be opened.
    """
    try:
        # opened for this machine alone: descriptors that were duplicated share one position
        descriptor = os.open(state, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(error, "loading a machine's state") from error
    try:
        uri = await _pass(monitor, descriptor)
    finally:
        os.close(descriptor)
    await monitor.execute("migrate-incoming", uri=uri)
    await _finished(monitor, name, LOAD_DEADLINE)


async def _pass(monitor: QmpClient, descriptor: int) -> str:
    """Hand ``descriptor`` to QEMU; the address that it then has for a migration."""
    capability = {"capability": "x-ignore-shared", "state": True}
    await monitor.execute("migrate-set-capabilities", capabilities=[capability])
    if monitor.release < _TAKES_FILES:
        await monitor.pass_descriptor(_DESCRIPTOR, descriptor)
        return f"fd:{_DESCRIPTOR}"
    await monitor.execute("add-fd", descriptor=descriptor, **{"fdset-id": _SET})
    return f"file:/dev/fdset/{_SET}"


async def _finished(monitor: QmpClient, name: str, deadline: float) -> None:
    with trio.move_on_after(deadline):
        while True:
            answer = await monitor.execute("query-migrate")
            facts = cast("dict[str, object]", answer) if isinstance(answer, dict) else {}
            status = facts.get("status")
            if status == "completed":
                if monitor.release >= _TAKES_FILES:
                    await monitor.execute("remove-fd", **{"fdset-id": _SET})
                return
            if status in ("failed", "cancelled"):
                said = str(facts.get("error-desc", "it does not say why"))[:200]
                raise MachineError(f"QEMU could not save or load its state: {said}", sandbox=name)
            await trio.sleep(_POLL)
    raise MachineError(f"QEMU did not save or load its state within {deadline:g} s", sandbox=name)
