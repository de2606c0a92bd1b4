"""What the agent mounts, by a server of its own: really, in the mount namespace that these tests give it."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandtop.agent import mounting, shutdown
from sandtop.core.guest.overlay import options as overlay_options

from .files_side import FilesSide

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.agent.files.call import Steps

    from .core_side import CoreSide

MIB = 1 << 20


def server(core: CoreSide) -> FilesSide:
    return FilesSide(core, builtin={"name": "mounts"}, user="root")


def seen(core: CoreSide, script: str) -> list[str]:
    """What a program of the sandbox's sees."""
    run = core.run(argv=["sh", "-c", script])
    return (run.stdout + run.stderr).decode().splitlines()


def test_a_tmpfs(core: CoreSide, tmp_path: Path) -> None:
    side, target = server(core), tmp_path / "new" / "folder with a blank"
    (tmp_path / "new").mkdir()
    (tmp_path / "link").symlink_to("new")
    try:
        asked = {"kind": "tmpfs", "size": MIB, "mode": 0o750, "read_only": False}
        call = side.call("mount", target=f"{tmp_path}/link/folder with a blank", **asked)
        assert (call.answer or {}).get("type") == "answer", call.failed
        kind, mode = seen(core, f"cd '{target}'; stat -f -c %T .; stat -c %a .")
        assert (kind, mode) == ("tmpfs", "750")
        said = seen(core, f"head -c {MIB + 1} /dev/zero >'{target}/big'; wc -c <'{target}/big'")
        assert said[0] == str(MIB), "no more than its size"
        assert "No space left on device" in said[1]
        assert "nosuid,nodev" in next(line for line in seen(core, "cat /proc/mounts") if "with\\040a" in line)
        below = side.call(
            "mount", target=f"{target}/below", kind="tmpfs", size=None, mode=None, read_only=True
        )
        assert below.answer is not None, below.failed
        assert seen(core, f"stat -c %a '{target}/below'; touch '{target}/below/x'")[:1] == ["1777"]
        assert "Read-only file system" in seen(core, f"touch '{target}/below/x'")[0]
        assert not target.exists() or not os.listdir(target), "no other namespace sees any of it"
    finally:
        side.close()


def test_what_cannot_be_mounted(core: CoreSide, tmp_path: Path) -> None:
    side = server(core)
    (tmp_path / "file").touch()
    try:
        for target in (tmp_path / "file", tmp_path / "file" / "below"):
            call = side.call("mount", kind="tmpfs", target=str(target), read_only=False)
            assert call.failed is not None
            assert call.failed["errno"] == errno.ENOTDIR
        call = side.call("mount", kind="nfs", target=str(tmp_path), read_only=False)
        assert call.failed is not None
        assert (call.failed["errno"], call.failed["why"]) == (
            errno.ENOSYS, "this sandbox's agent cannot mount a nfs",
        )  # fmt: skip
        call = side.call("mount", kind="tmpfs", target=str(tmp_path), size=-1, read_only=False)
        assert call.failed is not None
        assert call.failed["errno"] == errno.EINVAL
    finally:
        side.close()


@pytest.mark.parametrize(("size", "block"), [(40 * MIB, 1024), (40 * MIB, 4096), (4 << 30, 4096)])
def test_the_geometry_of_a_file_system(tmp_path: Path, size: int, block: int) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", str(block), disk], check=True, capture_output=True)
    superblock = disk.read_bytes()[1024:2048] if size < 1 << 30 else _superblock(disk)
    assert mounting.geometry(superblock) == (block, size)
    assert not mounting.has_errors(superblock)
    assert mounting.most(superblock) >= size
    subprocess.run(["debugfs", "-w", "-R", "ssv state 2", disk], check=True, capture_output=True)
    assert mounting.has_errors(_superblock(disk))


@pytest.mark.parametrize(
    ("size", "options", "most"),
    [
        (32 * MIB, overlay_options(32 * MIB), 257 * 16 * 8 * MIB),
        (8 << 30, overlay_options(8 << 30), 1 << 40),
        (600 << 30, overlay_options(600 << 30), (75 + 1024) * 8 << 30),
        (8 << 30, ["-J", "size=4"], 8 << 30),  # as an older sandtop made them
        (8 << 30, ["-O", "meta_bg,^resize_inode"], 8 << 30),
    ],
)
def test_how_far_a_disk_can_grow(tmp_path: Path, size: int, options: list[str], most: int) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", *options, disk], check=True, capture_output=True)
    assert mounting.most(_superblock(disk)) == most


def _superblock(disk: Path) -> bytes:
    with disk.open("rb") as file:
        file.seek(1024)
        return file.read(1024)


def test_a_program_of_the_runtime_says_why_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    if os.geteuid() != 0:
        pytest.skip("to enter a root is for root alone")
    monkeypatch.setattr(mounting, "RUNTIME", root)
    ended: list[tuple[int, str]] = []

    def call() -> Steps:
        ended.append((yield from mounting.run(["/bin/sh", "-c", "echo first; echo last >&2; exit 7"])))
        return None

    for _ in call():
        continue
    os.close(root)
    assert ended == [(7, "last")]


def test_which_disks_are_to_be_left_clean(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "none / rootfs rw 0 0\n/dev/vda /image squashfs ro 0 0\n/dev/vdb /overlay ext4 rw,noatime 0 0\n"
        "/dev/vdc /sandbox/a\\040b\\134c ext4 rw 0 0\ntmpfs /sandbox/run tmpfs rw 0 0\n"
    )
    assert shutdown.disks(str(mounts)) == ["/overlay", "/sandbox/a b\\c"]
