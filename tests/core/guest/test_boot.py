"""The guest's init on real machines: what a sandbox sees, what survives, and how a boot that cannot succeed ends."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.accelerator import chosen
from tests.settings import SLOWER

from sandtop.core.guest import KERNEL_ARGS, GuestStore
from sandtop.core.machine.qemu.emulation import accelerated, kernel_arguments

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.vm

GIB = 1 << 30


@pytest.fixture
def overlay(standin_store: GuestStore, tmp_path: Path) -> Path:
    path = tmp_path / "overlay"
    standin_store.create_overlay(path, GIB)
    return path


@contextmanager
def machine(
    store: GuestStore, task: str, overlay: Path | None, image: Path | None = None
) -> Generator[subprocess.Popen[str]]:
    """A running machine whose agent does ``task``; its console is the process's standard output."""
    runtime, kernel = store.runtime(), store.kernel()
    arguments = kernel_arguments(" ".join((*KERNEL_ARGS, f"task={task}")), chosen(), 1)
    argv: list[str | Path] = [
        "qemu-system-x86_64", "-M", "q35", *accelerated(chosen()), "-smp", "cpus=1,maxcpus=2", "-m", "256",
        "-nographic", "-nodefaults", "-no-user-config", "-no-reboot",
        "-serial", "stdio", "-kernel", kernel.image, "-initrd", runtime.initrd,
        "-append", arguments, "-device", "virtio-rng-pci",
    ]  # fmt: skip
    disks = {"image": (image or store.image("base").path, "on"), "overlay": (overlay, "off")}
    for name, (path, read_only) in disks.items():
        if path is not None:
            argv += ["-drive", f"if=none,id={name},format=raw,file={path},readonly={read_only}"]
            argv += ["-device", f"virtio-blk-pci,drive={name},serial={name}"]
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def boot(store: GuestStore, task: str, overlay: Path | None, image: Path | None = None) -> list[str]:
    """What such a machine says until it ends by itself."""
    with machine(store, task, overlay, image) as process:
        said, _ = process.communicate(timeout=150 * SLOWER)
        assert process.returncode == 0
    return said.splitlines()


def test_what_a_sandbox_sees_and_keeps(standin_store: GuestStore, overlay: Path) -> None:
    said = boot(standin_store, "report", overlay)
    assert "arguments --root /sandbox" in said[-20:] or any(
        "arguments --root /sandbox" in line for line in said
    )
    mounts = {line.split()[2]: line.split()[3] for line in said if line.startswith("mount ")}
    assert mounts == {
        "/sandbox": "overlay",
        "/sandbox/proc": "proc",
        "/sandbox/sys": "sysfs",
        "/sandbox/sys/fs/cgroup": "cgroup2",
        "/sandbox/dev": "devtmpfs",
        "/sandbox/dev/pts": "devpts",
        "/sandbox/dev/shm": "tmpfs",
        "/sandbox/dev/mqueue": "mqueue",
        "/sandbox/run": "tmpfs",
    }
    facts = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in said if " " in line}
    assert facts["links"] == "lo"
    assert int(facts["loopback"], 16) & 1  # IFF_UP
    assert {"cpu", "memory", "pids", "io"} <= set(facts["controllers"].split())
    assert facts["terminal"] == "/dev/pts/0"
    assert facts["tmp"] == "0o1777"
    assert facts["note"] == "none"
    assert [stage.split("=")[0] for stage in facts["boot"].split()] == ["init", "modules", "disks", "root"]
    assert "from the shell" in said
    assert "from python" in said
    assert "note kept" in boot(standin_store, "report", overlay)


def test_a_killed_machine_leaves_its_disk_whole(standin_store: GuestStore, overlay: Path) -> None:
    with machine(standin_store, "write", overlay) as process:
        assert process.stdout is not None
        seen = next((line for line in process.stdout if line.startswith("written 300")), None)
        assert seen, "the machine ended before it was killed"
        process.kill()
    said = boot(standin_store, "check", overlay)
    assert "note synced" in said
    assert "read True" in said
    assert not any("repairing" in line for line in said)  # the journal was enough
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/sbin:/usr/sbin"}
    checked = subprocess.run(
        ["e2fsck", "-fn", overlay],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60 * SLOWER,
    )
    assert checked.returncode == 0, checked.stdout


def test_a_damaged_disk_is_repaired(standin_store: GuestStore, overlay: Path) -> None:
    with overlay.open("r+b") as file:
        file.write(bytes(4096))  # the superblock; ext4 has others
    said = boot(standin_store, "report", overlay)
    assert "sandtop-init: repairing the overlay disk" in "\n".join(said)
    assert "note none" in said


def fatal_line(said: list[str]) -> str:
    (line,) = [line for line in said if "sandtop-init: fatal: " in line]
    assert not any("panic" in line for line in said)
    return line.partition("sandtop-init: fatal: ")[2]


def test_without_an_overlay_disk(standin_store: GuestStore) -> None:
    said = boot(standin_store, "report", None)
    assert fatal_line(said) == "overlay disk: no disk has the serial 'overlay'"


def test_with_an_overlay_disk_of_rubbish(standin_store: GuestStore, overlay: Path) -> None:
    overlay.write_bytes(b"\xff" * (32 << 20))
    assert fatal_line(boot(standin_store, "report", overlay)).startswith("overlay disk: e2fsck: ")


def test_with_a_truncated_image(standin_store: GuestStore, overlay: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(standin_store.image("base").path.read_bytes()[: 4 << 20])
    assert fatal_line(boot(standin_store, "report", overlay, cut)).startswith("image disk: mount: ")
