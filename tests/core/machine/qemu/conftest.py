"""Machines for the tests: QEMU is always the real one; the guest is the real kernel with a shell for an init."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from tests.accelerator import chosen

from sandtop.core import paths
from sandtop.core.guest import GuestStore
from sandtop.core.guest.cpio import CpioWriter
from sandtop.core.machine import Accelerator, MachineSpec
from sandtop.core.machine.qemu.program import Qemu, find_qemu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandtop.core.guest import Kernel

OVERLAY_BYTES = 8 << 20

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod /modules/$module; done
for disk in /sys/block/vd*; do
    echo "disk $(cat $disk/serial) read-only $(cat $disk/ro) discard $(cat $disk/queue/discard_max_bytes)"
    [ "$(cat $disk/serial)" = overlay ] && overlay=/dev/$(basename $disk)
done
echo "links $(ls /sys/class/net | tr '\\n' ' ')"
echo "random $(cat /sys/class/misc/hw_random/rng_current)"
for port in /sys/class/virtio-ports/*; do
    [ "$(cat $port/name)" = sandtop.agent ] && exec 3<>/dev/$(basename $port)
done
echo "the guest is ready"
# one line in, one line out; with nobody connected a read ends at once
while :; do
    read -r word rest <&3 || { sleep 0.05; continue; }
    case $word in
        echo) echo "$rest" >&3 ;;
        write) echo "$rest" | dd of=$overlay conv=fsync 2>/dev/null; echo written >&3 ;;
        fill) head -c 4194304 /dev/urandom | dd of=$overlay bs=1M seek=1 conv=fsync 2>/dev/null; echo filled >&3 ;;
        discard) blkdiscard -o 1048576 -l 4194304 $overlay; echo discarded >&3 ;;
        fetch)
            ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0
            nc 10.0.2.2 $rest </dev/null >&3 ;;
        off) poweroff -f ;;
        panic) echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger ;;
    esac
done
"""


class MakeSpec(Protocol):
    """Makes a spec of a fresh machine; what is given replaces what it would choose."""

    def __call__(self, **given: object) -> MachineSpec: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Folders for one machine's sockets and files, private as the daemon's are."""

    runtime: Path
    console_log: Path

    def assert_empty(self, spec: MachineSpec) -> None:
        """No process, no socket and no folder of this machine is there."""
        assert machines_of(spec) == []
        assert not self.runtime.exists()


def machines_of(spec: MachineSpec) -> list[int]:
    """The living processes with this machine's uuid on their command line."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if spec.uuid.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.fixture(scope="session")
def qemu() -> Qemu:
    return find_qemu()


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    """The guests' kernel, from the user's cache; fetched when it is not there."""
    return GuestStore(paths.find()).kernel()


@pytest.fixture(scope="session")
def initramfs(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guest that says what devices it has and obeys the few words of `INIT`."""
    busybox = shutil.which("busybox")
    assert busybox is not None, "busybox-static is needed"
    modules = kernel.insertion(("virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "virtio_net"))
    path = tmp_path_factory.mktemp("guest") / "initramfs"
    with path.open("wb") as file:
        archive = CpioWriter(file)
        for folder in ("bin", "dev", "proc", "sys", "modules"):
            archive.add_folder(folder)
        archive.add_character_device("dev/console", 5, 1)
        archive.add_file("bin/busybox", Path(busybox).read_bytes(), executable=True)
        archive.add_file("init", INIT.encode(), executable=True)
        for module in modules:
            archive.add_file(f"modules/{module.name}", module.read_bytes())
        archive.add_file("modules/order", "\n".join(module.name for module in modules).encode())
        archive.close()
    path.chmod(0o644)
    return path


@pytest.fixture(scope="session")
def accelerator() -> Accelerator:
    """What machines that a test really starts run under."""
    return chosen()


@pytest.fixture
def make_spec(
    kernel: Kernel, initramfs: Path, accelerator: Accelerator, tmp_path: Path
) -> Iterator[MakeSpec]:
    made: list[MachineSpec] = []

    def make(**given: object) -> MachineSpec:
        image, overlay = tmp_path / "image, with a comma", tmp_path / "overlay"
        image.write_bytes(bytes(4096))
        overlay.touch()
        os.truncate(overlay, OVERLAY_BYTES)
        values: dict[str, object] = {
            "uuid": str(uuid.uuid4()),
            "name": "box",
            "kernel": kernel.image,
            "initramfs": initramfs,
            "image": image,
            "overlay": overlay,
            "arguments": "console=ttyS0 quiet panic=-1",
            "memory_mib": 192,
            "accelerator": accelerator,
        }
        made.append(MachineSpec(**{**values, **given}))  # type: ignore[arg-type]
        return made[-1]

    for path in (tmp_path, tmp_path.parent):
        path.chmod(0o700)
    yield make
    for spec in made:  # a machine outlives a test that failed
        for pid in machines_of(spec):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """The runtime folder is below the run's own, which is short; see the test root's conftest."""
    runtime = Path(os.environ["XDG_RUNTIME_DIR"]) / f"m-{uuid.uuid4().hex[:8]}"
    yield Place(runtime, tmp_path / "console")
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture
def script(tmp_path: Path) -> Iterator[MakeScript]:
    """Makes a program that stands in QEMU's place, for what no real QEMU does on demand. All users may run it."""
    folder = Path(os.environ["XDG_RUNTIME_DIR"]) / f"s-{uuid.uuid4().hex[:8]}"
    folder.mkdir(mode=0o711)
    (folder.parent).chmod(0o711)

    def make(body: str) -> Path:
        path = folder / "qemu"
        path.write_text("#!/bin/sh\n" + body)
        path.chmod(0o755)
        return path

    yield make
    shutil.rmtree(folder)


class MakeScript(Protocol):
    """Makes a shell script of ``body``."""

    def __call__(self, body: str) -> Path: ...
