"""Which accelerator runs a machine: KVM where a guest really boots under it, otherwise QEMU's own emulation, TCG.

A /dev/kvm that opens proves nothing. On some nested hosts KVM_CREATE_VM and KVM_CREATE_VCPU succeed and the guest
then spins for ever without printing a byte. So the real kernel is booted, under a deadline, and has to speak. The
development hosts were of that kind: no test could exercise a KVM that works.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.errors import MachineError, MissingDependency, from_os_error
from sandtop.core.machine import procfs
from sandtop.core.machine.commandline import hardening
from sandtop.core.machine.spec import Accelerator
from sandtop.core.machine.text import last_lines
from sandtop.core.machine.users import KVM, kvm_groups, machine_uid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandtop.core.machine.host import Qemu

PROBE_DEADLINE: Final = 5.0
"""Seconds for a guest to begin. Under a KVM that works its kernel speaks in a few tenths of one."""

_SIGN_OF_LIFE: Final = b"Linux version"
_OUTPUT_BYTES: Final = 64 * 1024
_SPARE_SECONDS: Final = 3
_FILE: Final = "accelerator.json"


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether KVM works here, and in words for people why, or why not."""

    works: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The accelerator to use, and why."""

    accelerator: Accelerator
    reason: str


async def choose(qemu: Qemu, kernel: Path, cache: Path, *, wanted: Accelerator | None = None) -> Choice:
    """The accelerator for machines that boot ``kernel``: the one ``wanted``, or the best that works.

    The answer about KVM is kept in the folder ``cache``, for this boot of the host, this QEMU, this kernel and
    /dev/kvm as it is now. Raises `MachineError` when KVM is wanted and does not work.
    """
    if wanted is Accelerator.TCG:
        return Choice(Accelerator.TCG, "asked for")
    path, key = cache / _FILE, _key(qemu, kernel)
    found = await trio.to_thread.run_sync(_recall, path, key)
    if found is None:
        found = await probe(qemu, kernel)
        await trio.to_thread.run_sync(_remember, path, key, found)
    if found.works:
        return Choice(Accelerator.KVM, found.reason)
    if wanted is Accelerator.KVM:
        raise MachineError(f"KVM does not work here: {found.reason}", hint="leave the accelerator to sandtop")
    return Choice(Accelerator.TCG, f"KVM does not work here: {found.reason}")


async def probe(qemu: Qemu, kernel: Path, *, deadline: float = PROBE_DEADLINE) -> Probe:
    """Boot ``kernel`` under KVM until it speaks, ``deadline`` seconds at most. Leaves nothing behind.

    Runs as the core's own user: nothing but our own kernel is in that guest.
    """
    if not KVM.exists():
        return Probe(
            False, f"{KVM} is not there: no hardware virtualization, or the kvm module is not loaded"
        )
    if not os.access(KVM, os.R_OK | os.W_OK):
        return Probe(False, f"{KVM} is not yours to open: join its group, often kvm")
    output = await _boot(qemu, kernel, deadline)
    if _SIGN_OF_LIFE not in output:
        said = last_lines(output, 1)
        silent = f"{KVM} opens, but a guest prints nothing within {deadline:g} s"
        return Probe(False, f"{KVM} opens, but a guest does not boot: {said}" if said else silent)
    if machine_uid("") is not None:
        try:
            kvm_groups()
        except MachineError as error:
            return Probe(False, str(error))
    return Probe(True, "a guest boots under KVM")


async def _boot(qemu: Qemu, kernel: Path, deadline: float) -> bytes:
    """What ``kernel`` and QEMU print until there is a sign of life, QEMU ends, or ``deadline`` seconds are over."""
    command = [
        str(qemu.path), "-name", "sandtop-probe", *hardening(),
        "-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "128M",
        "-kernel", str(kernel), "-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1",
        "-serial", "stdio",
    ]  # fmt: skip
    return await output_of(command, _SIGN_OF_LIFE, deadline)


async def output_of(command: Sequence[str], sign: bytes, deadline: float) -> bytes:
    """What ``command`` prints until ``sign`` comes, it ends, or ``deadline`` seconds are over; it is gone then.

    It is gone soon also when this process is killed meanwhile: the kernel sees to that. Raises `MachineError`.
    """
    process = _bounded(command, round(deadline) + _SPARE_SECONDS)
    assert process.stdout is not None, "asked for above"
    output = b""
    try:
        async with trio.lowlevel.FdStream(os.dup(process.stdout.fileno())) as stream:
            with trio.move_on_after(deadline):
                while sign not in output and len(output) < _OUTPUT_BYTES:
                    data = await stream.receive_some()
                    if not data:
                        break
                    output += data
    finally:
        process.kill()
        process.stdout.close()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(process.wait)
    return output


def _bounded(command: Sequence[str], seconds: int) -> subprocess.Popen[bytes]:
    """Start ``command``, which ends with this thread and after so many seconds of processor time.

    Not for a worker thread: it is the *thread* that forked by whose end PR_SET_PDEATHSIG goes. The limit is for the
    moment before that is in force. Raises `MachineError`, `MissingDependency`.
    """
    bounds = [_program("prlimit"), "--core=0:0", f"--cpu={seconds}:{seconds}", "--"]
    bounds += [_program("setpriv"), "--pdeathsig", "KILL", "--"]
    try:
        return subprocess.Popen(
            [*bounds, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            cwd="/", env={},
        )  # fmt: skip
    except OSError as error:
        raise MachineError(f"cannot run {bounds[0]}: {error.strerror}") from error


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingDependency(f"{name} is not there", hint="apt-get install util-linux")
    return found


def _key(qemu: Qemu, kernel: Path) -> dict[str, object]:
    """What the answer depends on."""
    device = KVM.stat() if KVM.exists() else None
    built = kernel.stat()
    return {
        "boot_id": procfs.boot_id(),
        "qemu": qemu.version,
        "kernel": [built.st_size, built.st_mtime_ns],  # not where: a cache may be a copy or a link
        "device": [device.st_mode, device.st_uid, device.st_gid] if device else None,
        "user": [os.geteuid(), sorted(os.getgroups())],
    }


def _recall(path: Path, key: dict[str, object]) -> Probe | None:
    try:
        kept: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
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
            json.dump({"key": key, **asdict(found)}, file)
        os.replace(file.name, path)
    except OSError as error:
        raise from_os_error(error, "cannot keep what is known of KVM") from error
