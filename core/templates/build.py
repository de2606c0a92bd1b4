"""Making a template: boot once, wait for the agent, save."""

from __future__ import annotations

import os
import uuid as uuids
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import MachineError, from_os_error
from sandtop.core.guest import overlay
from sandtop.core.guest.store import write_json
from sandtop.core.machine import Memory
from sandtop.core.templates.files import FACTS, MEMORY, OVERLAY, STATE, copy_holes, memory_file
from sandtop.core.templates.key import Kind, Shape, origin_of, template_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sandtop.core.machine import Driver, MachineSpec, Version
    from sandtop.core.paths import Paths

MIB: Final = 1 << 20
BUILDER: Final = "builder-"
"""The name's beginning of a file beside the templates, which is there for as long as the machine that makes one may
run; the rest is the machine's uuid."""

_CONSOLE: Final = "console"


@dataclass(frozen=True, slots=True)
class Order:
    """A template to be made, by this version of the driver's program."""

    paths: Paths
    root: Path
    driver: Driver
    boot_seconds: float
    key: str
    version: Version
    shape: Shape
    spec: MachineSpec


def make(order: Order, progress: Callable[[str], None], folder: Path) -> None:
    """Fill the empty ``folder`` with the template. For a worker thread of trio's.

    Raises `MachineError`, `StorageError` …; no machine runs then.
    """

    def tell(line: str) -> None:
        trio.from_thread.run_sync(progress, line)

    with _memory(order.spec.memory_mib * MIB) as memory, _announced(order.root) as uuid:
        disk = folder / OVERLAY
        overlay.create(order.paths.cache, disk, order.shape.disk, tell)
        spec = replace(
            template_spec(order.spec, order.shape.kind),
            uuid=uuid,
            name="a template",
            overlay=disk,
            memory=Memory(Path(f"/proc/self/fd/{memory}")),
        )
        trio.from_thread.run(_boot_and_save, order, spec, folder)
        _write_memory(memory, folder / MEMORY)
    (folder / _CONSOLE).unlink(missing_ok=True)
    if order.shape.kind is Kind.LATER:
        disk.unlink()
    facts = {
        "kind": order.shape.kind.value,
        "image": order.shape.image_digest,
        "origin": origin_of(order.shape, order.spec, order.version),
    }
    write_json(folder / FACTS, facts)


async def _boot_and_save(order: Order, spec: MachineSpec, folder: Path) -> None:
    runtime = order.paths.machine_runtime(spec.uuid)
    opener = order.driver.start(spec, runtime=runtime, console_log=folder / _CONSOLE)
    try:
        async with opener as machine:
            try:
                with trio.move_on_after(order.boot_seconds) as patience:
                    await machine.ready()
                if patience.cancelled_caught:
                    lines = machine.console_tail(3).splitlines()
                    console = f"console's last lines: {' | '.join(lines)}" if lines else "console is empty"
                    raise MachineError(
                        f"its agent was not ready within {order.boot_seconds:g} s; its {console}"
                    )
                await machine.save(folder / STATE)
            finally:
                with trio.CancelScope(shield=True):
                    await machine.stop()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(order.driver.remove_runtime, runtime)


@contextmanager
def _memory(size: int) -> Generator[int]:
    try:
        descriptor = memory_file(size)
    except OSError as error:
        raise from_os_error(error, "making a template") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _announced(root: Path) -> Generator[str]:
    """The uuid of a machine; a core that comes after one that was killed finds it in ``root`` and ends the machine."""
    uuid = str(uuids.uuid4())
    mark = root / f"{BUILDER}{uuid}"
    try:
        mark.touch()
    except OSError as error:
        raise from_os_error(error, "making a template") from error
    try:
        yield uuid
    finally:
        mark.unlink(missing_ok=True)


def _write_memory(memory: int, path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_holes(memory, descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise from_os_error(error, "making a template") from error
