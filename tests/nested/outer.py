"""The outer machine: a Debian with a full kernel, whose /dev/kvm and /dev/vhost-vsock work on a host that has neither.

QEMU's TCG emulates AMD's SVM with nested paging, so KVM works in a machine that is emulated. Building it takes minutes,
and needs root and the network; starting it needs neither. What was built is kept below the user's cache directory, by
all that it was made of, for every checkout that wants the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Final

import platformdirs

from sandtop.core import paths
from sandtop.core.guest.archive import Archive, at, keyring, reaching
from sandtop.core.guest.store import locked

if TYPE_CHECKING:
    from collections.abc import Generator

CHECKOUT: Final = Path(__file__).parents[2]
_HERE: Final = Path(__file__).parent
_RELEASE: Final = "bookworm"
_PACKAGES: Final = (
    # the cloud kernel lacks KVM; what bootstrap would install; what init needs
    "linux-image-amd64",
    "qemu-system-x86", "mmdebstrap", "squashfs-tools", "xz-utils", "zstd", "e2fsprogs", "debian-archive-keyring",
    "python3-venv", "busybox-static", "tmux", "git", "ca-certificates",
    "iproute2", "kmod", "procps", "udev",
)  # fmt: skip
_DISK_BYTES: Final = 64 << 30
"""Sparse, and with room for all that sandboxes may write, or each `create` warns. What a run writes goes to a temporary
file and is gone with it."""


@dataclass(frozen=True, slots=True)
class Outer:
    """The files of a built outer machine, which nothing changes any more."""

    kernel: Path
    initrd: Path
    disk: Path


def tar_checkout(out: Path) -> None:
    """Write the files of this checkout, as they are now, committed or not, to the tar ``out``."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    there = b"\0".join(
        name for name in listed.split(b"\0") if name and os.path.lexists(CHECKOUT / os.fsdecode(name))
    )
    subprocess.run(["tar", "--null", "-T", "-", "-cf", out], cwd=CHECKOUT, input=there, check=True)


def find_or_build() -> Outer:
    """The outer machine for this checkout. Raises `SandtopError`, `CalledProcessError`."""
    folder = place()
    root = folder.parent
    outer = Outer(folder / "vmlinuz", folder / "initrd.img", folder / "disk")
    if folder.exists():
        return outer
    with locked(root, lambda: _say("waiting for another build of an outer machine")):
        if folder.exists():
            return outer
        for old in root.glob("build-*"):  # of one that was killed
            shutil.rmtree(old)
        archive = at(paths.find().cache, _RELEASE)
        archive.refresh(_say)
        _say("building the outer machine, once: minutes")
        with TemporaryDirectory(prefix="build-", dir=root) as scratch:
            _build(archive, Path(scratch))
            for other in root.glob("*/disk"):
                if not other.parent.name.startswith("build-"):
                    shutil.rmtree(other.parent)
            (Path(scratch) / "machine").rename(folder)
    return outer


@contextmanager
def shared_folder() -> Generator[Path]:
    """An empty folder for one run, which goes with it. Those of runs that were killed go, too."""
    runs = place().parent / "runs"
    with locked(runs, lambda: None):
        for old in runs.glob("run-*"):
            descriptor = _opened(old)
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old)
            os.close(descriptor)
        folder = Path(mkdtemp(prefix="run-", dir=runs))
        descriptor = _opened(folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(descriptor)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def place() -> Path:
    """The folder for the outer machine of this checkout; there, when it is built."""
    return platformdirs.user_cache_path("sandtop-nested") / _key()


def _key() -> str:
    """Of what the outer machine depends on. Of pyproject.toml the tools' settings do not count."""
    project = (CHECKOUT / "pyproject.toml").read_text().partition("\n[tool.")[0]
    scripts = [path.read_text() for path in (CHECKOUT / "bootstrap", _HERE / "finish.sh")]
    parts = (_RELEASE, *_PACKAGES, str(_DISK_BYTES), project, *scripts)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _build(archive: Archive, scratch: Path) -> None:
    root, made, checkout = scratch / "root", scratch / "machine", scratch / "checkout.tar"
    tar_checkout(checkout)
    finish = f'{shlex.quote(str(_HERE / "finish.sh"))} "$1" {shlex.quote(str(checkout))}'
    # mounts of its own, so that none outlives it however it ends
    subprocess.run(
        [
            "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child",
            "mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(_PACKAGES)}",
            '--aptopt=APT::Install-Recommends "false"', *(f"--aptopt={option}" for option in reaching()),
            "--skip=update", f"--setup-hook=copy-in {shlex.quote(str(archive.lists))} /var/lib/apt",
            "--dpkgopt=force-unsafe-io", f"--customize-hook={finish}", f"--keyring={keyring()}",
            "--quiet", archive.release, str(root), *archive.sources,
        ],
        check=True,
    )  # fmt: skip
    made.mkdir()
    shutil.copyfile((root / "vmlinuz").resolve(), made / "vmlinuz")
    shutil.copyfile((root / "initrd.img").resolve(), made / "initrd.img")
    size = f"{_DISK_BYTES >> 20}M"
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(root), "-L", "nested", str(made / "disk"), size]
    subprocess.run(argv, check=True)


def _say(line: str) -> None:
    sys.stderr.write(f"==> {line}\n")
