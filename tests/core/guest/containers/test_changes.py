"""Layers of a sandbox's disk: what the kernel shows of an overlay is what an image of its layers has."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager, suppress
from random import Random
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.layers import changes, mark
from sandtop.agent.layers.changes import Changes
from sandtop.core.guest import GuestStore

from .making import Layout
from .trees import tree_of, unsquashed

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from sandtop.core.paths import Paths

CAPABILITY = bytes.fromhex(
    "0100000200040000000000000000000000000000"
)  # cap_net_raw=ep, of linux/capability.h


class Disk:
    """An overlay file system: an image below, and what programs see in ``root``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.image, self.upper, self.root = (folder / name for name in ("image", "upper", "root"))
        self.before: mark.Mark | None = None
        self.count = 0

    def layer(self) -> bytes:
        """What has changed since the last one."""
        made = Changes(str(self.upper), self.before)
        data = b"".join(made)
        path = str(self.folder / "mark")
        self.count += 1
        mark.write(path, f"{self.count}", made.mark)
        if self.before is not None:
            assert mark.read(path, f"{self.count - 1}") == self.before
        self.before = mark.read(path, f"{self.count}")
        assert mark.read(path, "other") is None
        return data

    def whole(self) -> bytes:
        return b"".join(Changes(str(self.image), overlay=False))


@contextmanager
def mounted(disk: Disk) -> Generator[Disk]:
    disk.upper.mkdir(exist_ok=True)
    disk.root.mkdir()
    (disk.folder / "work").mkdir()
    options = f"lowerdir={disk.image},upperdir={disk.upper},workdir={disk.folder}/work"
    done = subprocess.run(
        ["mount", "-t", "overlay", "-o", options, "overlay", disk.root], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"no overlay file system can be mounted here: {done.stderr.decode()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk.root], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("owners, devices and mounts are for root alone")
    made = Disk(tmp_path / "disk")
    for name in ("both", "gone/deep", "replaced", "etc"):
        (made.image / name).mkdir(parents=True)
    for name in ("both/a", "both/b", "gone/deep/x", "replaced/old", "etc/passwd", "etc/hosts", "top"):
        (made.image / name).write_text(f"the image's {name}")
    with mounted(made):
        yield made


def unpacked(paths: Paths, place: Path, *layers: bytes) -> Path:
    """The tree that an image of these layers has."""
    Layout(place / "layout").image(*layers, name="mine", packed="none")
    (image,) = GuestStore(paths).load_images(place / "layout", None)
    return unsquashed(image.path, place / "out")


def seen(root: Path) -> dict[str, dict[str, object]]:
    """What `tree_of` says, without what no layer has."""
    hidden = ("etc/hosts", "etc/hostname", "run", "proc")
    return {name: facts for name, facts in tree_of(root).items() if not name.startswith(hidden)}


def test_all_kinds_of_changes_come_out_as_the_kernel_shows_them(
    disk: Disk, empty_paths: Paths, tmp_path: Path
) -> None:
    root = disk.root
    (root / "both/a").write_text("changed")
    (root / "both/b").unlink()
    shutil.rmtree(root / "gone")
    shutil.rmtree(root / "replaced")
    (root / "replaced").mkdir()
    (root / "replaced/new").write_text("new")
    (root / "top").unlink()
    (root / "top").mkdir(0o750)
    (root / "etc/passwd").chmod(0o600)
    os.chown(root / "etc/passwd", 3_000_000, 70_000)
    (root / "etc/hosts").write_text("the agent's")
    (root / "run").mkdir()
    (root / "run/pid").write_text("1")
    (root / ("n" * 200)).write_bytes(b"long name")
    (root / os.fsdecode(b"no\xffutf8\n")).write_bytes(b"x")
    os.link(root / "both/a", root / "linked")
    os.symlink("t" * 150, root / "link")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "s"))
    (root / "dev").mkdir()
    (root / "tool").write_bytes(b"\x7fELF")
    (root / "tool").chmod(0o4755)
    os.setxattr(root / "tool", "security.capability", CAPABILITY)
    os.setxattr(root / "tool", "user.note", b"a=b\n\0")
    os.setxattr(root / "top", "trusted.mine", b"kept")
    with (root / "holes").open("wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"island")
    out = unpacked(empty_paths, tmp_path, disk.whole(), disk.layer())
    (root / "s").unlink()  # a socket is in no layer
    shutil.rmtree(root / "dev")
    assert seen(out) == seen(root)
    assert (out / "etc/hosts").read_text() == "the image's etc/hosts"
    assert (out / "holes").stat().st_blocks * 512 < 1 << 20


def test_each_layer_has_what_changed_since_the_last(disk: Disk, empty_paths: Paths, tmp_path: Path) -> None:
    """Whatever is made, removed, moved and made again, by the same names and with the same inodes, in between."""
    for seed in range(3):
        random = Random(seed)
        layers = [disk.whole()]
        for _ in range(8):
            for _ in range(random.randrange(12)):
                _change(disk.root, random)
            layers.append(disk.layer())
        layers.append(disk.layer())
        place = tmp_path / str(seed)
        place.mkdir()
        assert seen(unpacked(empty_paths, place, *layers)) == seen(disk.root), f"with the seed {seed}"
        assert len(layers[-1]) == 1024, "nothing had changed"
        disk.before = None  # the next begins with all that there is


def _change(root: Path, random: Random) -> None:
    """Something that a program may do to a small tree."""
    every = [path for path in root.rglob("*") if not path.is_relative_to(root / "etc")]
    folders = [root, *(path for path in every if path.is_dir() and not path.is_symlink())]
    files = [path for path in every if not path.is_dir() or path.is_symlink()]
    place, name = random.choice(folders), random.choice("abcde")
    target = place / name
    kind = random.randrange(8)
    if kind == 0 and files:
        random.choice(files).unlink()
    elif kind == 1 and len(folders) > 1:
        shutil.rmtree(random.choice(folders[1:]))
    elif kind == 2 and files and not os.path.lexists(target):
        os.link(random.choice(files), target, follow_symlinks=False)
    elif kind == 3 and files and not target.is_dir():
        os.rename(random.choice(files), target)
    elif kind == 4 and len(folders) > 1:
        moved = random.choice(folders[1:])
        if not os.path.lexists(target) and moved not in target.parents:
            with suppress(OSError):  # a folder of the image's own: the kernel leaves it to mv(1)
                os.rename(moved, target)
    elif kind == 5 and not os.path.lexists(target):
        target.mkdir(random.choice((0o755, 0o700)))
    elif kind == 6:
        random.choice(folders).chmod(random.choice((0o755, 0o711)))
    elif not target.is_dir():
        target.write_bytes(random.randbytes(random.randrange(5000)))


def test_a_file_whose_content_is_elsewhere_is_refused(disk: Disk) -> None:
    (disk.root / "both/a").write_text("copied up")
    os.setxattr(disk.upper / "both/a", "trusted.overlay.metacopy", b"")
    with pytest.raises(OSError, match="metacopy"):
        disk.layer()


def test_attributes_without_end_are_refused(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_MAX_ATTRIBUTES", 20)
    (disk.root / "new").write_text("x")
    os.setxattr(disk.root / "new", "user.much", bytes(30))
    with pytest.raises(OSError, match="extended attributes"):
        disk.layer()
