"""Which accelerator runs a machine: KVM where a guest really boots under it, otherwise QEMU's own emulation, TCG."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.errors import MachineError, from_os_error
from sandtop.core.machine import procfs
from sandtop.core.machine.qemu.probe import Probe, probe, refused
from sandtop.core.machine.qemu.users import KVM
from sandtop.core.machine.records import Choice
from sandtop.core.machine.spec import WITHOUT_KVM, Accelerator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandtop.core.machine.qemu.program import Qemu
    from sandtop.core.machine.records import Trial

_FILE: Final = "accelerator.json"
_ASK_AGAIN: Final = 600.0
"""Seconds after which one core tries KVM again when it got no answer."""


class Accelerators:
    """Chooses for one core, or one command. What a probe answered is kept in the folder ``cache``, for this boot of the
    host, this QEMU, this kernel and /dev/kvm as it is now."""

    def __init__(self, cache: Path) -> None:
        self._path = cache / _FILE
        self._lock = trio.Lock()
        self._unanswered: Probe | None = None
        self._asked = 0.0

    async def choose(
        self,
        qemu: Qemu,
        trial: Trial,
        progress: Callable[[str], None],
        *,
        wanted: Accelerator | None = None,
        again: bool = False,
    ) -> Choice:
        """The accelerator for machines: the one ``wanted``, which is not probed for, or the best that works.

        ``progress`` is told when KVM is tried, which may take seconds. With ``again`` a kept "no" is not believed.
        Raises `MachineError` when KVM is wanted and machines may not even open its device, `MissingDependency`, and
        `StorageError` when the answer cannot be kept.
        """
        if wanted is not None:
            if wanted is Accelerator.KVM and (why := refused()) is not None:
                raise MachineError(f"KVM was asked for and cannot be used: {why}", hint=WITHOUT_KVM)
            return Choice(wanted, "asked for")
        async with self._lock:
            found = await self._find(qemu, trial, progress, again=again)
        if found.works:
            return Choice(Accelerator.KVM, found.reason)
        lead = (
            "KVM does not work here"
            if found.works is False
            else "KVM gave no answer, and is asked again later"
        )
        return Choice(Accelerator.TCG, f"{lead}: {found.reason}")

    async def _find(self, qemu: Qemu, trial: Trial, progress: Callable[[str], None], *, again: bool) -> Probe:
        key = await trio.to_thread.run_sync(_key, qemu, trial.kernel)
        kept = await trio.to_thread.run_sync(_recall, self._path, key)
        if kept is not None and (kept.works or not again):
            return kept
        recent = trio.current_time() - self._asked < _ASK_AGAIN
        if self._unanswered is not None and recent and not again:
            return self._unanswered
        progress("trying whether KVM works on this host")
        found = await probe(trial, qemu)
        if found.works is None:
            self._unanswered, self._asked = found, trio.current_time()
        else:
            self._unanswered = None
            await trio.to_thread.run_sync(_remember, self._path, key, found)
        return found


def _key(qemu: Qemu, kernel: Path) -> dict[str, object]:
    """What the answer depends on."""
    device = KVM.stat() if KVM.exists() else None
    built = kernel.stat()
    return {
        "probe": 2,  # an answer of an earlier way of asking does not count
        "boot_id": procfs.boot_id(),
        "qemu": qemu.version,
        "kernel": [built.st_size, built.st_mtime_ns],  # not where: a cache may be a copy or a link
        "device": [device.st_mode, device.st_uid, device.st_gid] if device else None,
        "user": [os.geteuid(), sorted(os.getgroups())],
    }


def _recall(path: Path, key: dict[str, object]) -> Probe | None:
    try:
        kept: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # the last for a deep nest of brackets
        return None
    if not isinstance(kept, dict):
        return None
    found = cast("dict[str, object]", kept)
    works, reason = found.get("works"), found.get("reason")
    if found.get("key") != key or not isinstance(works, bool) or not isinstance(reason, str):
        return None
    return Probe(works, reason)


def _remember(path: Path, key: dict[str, object], found: Probe) -> None:
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".accelerator-", delete=False) as file:
            json.dump({"key": key, "works": found.works, "reason": found.reason}, file)
        os.replace(file.name, path)
    except OSError as error:
        raise from_os_error(error, "cannot keep what is known of KVM") from error
