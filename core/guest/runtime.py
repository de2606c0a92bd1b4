"""The guest runtime: the initramfs with init, busybox, Python and the agent that every sandbox boots."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError
from sandtop.core.guest.cpio import CpioWriter
from sandtop.core.guest.kernel import MODULES, Kernel
from sandtop.core.guest.store import Shelf, digest_of, digest_tree

if TYPE_CHECKING:
    from sandtop.core.guest.foundation import Foundation
    from sandtop.core.guest.tools import Progress

_INIT: Final = Path(__file__).with_name("init")
_FOLDERS: Final = ("dev", "image", "overlay", "proc", "sandbox", "sys")

# busybox runs its own applets through /proc/self/exe; these it must also find where no /proc is mounted
_APPLETS: Final = ("mount", "poweroff", "sleep", "tail")

_EARLY_MOUNTS: Final = """\
proc /proc proc nosuid,nodev,noexec 0 0
sys /sys sysfs nosuid,nodev,noexec 0 0
dev /dev devtmpfs nosuid,noexec 0 0
"""
_SANDBOX_MOUNTS: Final = """\
proc /sandbox/proc proc nosuid,nodev,noexec 0 0
sys /sandbox/sys sysfs nosuid,nodev,noexec 0 0
dev /sandbox/dev devtmpfs nosuid,noexec 0 0
pts /sandbox/dev/pts devpts nosuid,noexec,gid=5,mode=620,ptmxmode=666 0 0
shm /sandbox/dev/shm tmpfs nosuid,nodev,mode=1777 0 0
mqueue /sandbox/dev/mqueue mqueue nosuid,nodev,noexec 0 0
run /sandbox/run tmpfs nosuid,nodev,mode=755 0 0
"""
_RECIPE: Final = digest_of("3", *_APPLETS, _EARLY_MOUNTS, _SANDBOX_MOUNTS, *_FOLDERS, repr(MODULES))


@dataclass(frozen=True, slots=True)
class Runtime:
    """A built runtime. ``initrd`` is a machine's initramfs; ``digest`` names all that it was made of."""

    initrd: Path
    digest: str


def shelf(cache: Path) -> Shelf:
    """Where runtimes are kept. A few: a checkout and an installation may share a cache and differ in their agent."""
    return Shelf(cache / "runtimes", "guest runtime", keep=4)


def key(kernel: Kernel, foundation: Foundation, agent: Path) -> str:
    """The digest of the runtime made of these. Reads the agent's sources. Raises `ImageError` if it has none."""
    if not (agent / "__main__.py").exists():
        raise ImageError(f"there is no guest agent in {agent}", hint="reinstall sandtop")
    agent_digest = digest_tree(agent, "*.py")
    return digest_of(_RECIPE, kernel.digest, foundation.digest, agent_digest, _INIT.read_bytes())[:32]


def find(cache: Path, kernel: Kernel, foundation: Foundation, agent: Path) -> Runtime | None:
    """The runtime made of these, when it has been built and is whole."""
    digest = key(kernel, foundation, agent)
    folder = shelf(cache).find(digest)
    return Runtime(folder / "initrd", digest) if folder else None


def build(cache: Path, kernel: Kernel, foundation: Foundation, agent: Path, progress: Progress) -> Runtime:
    """Build it. ``agent`` is the folder of the package ``sandtop.agent``. Raises `ImageError`, `StorageError`."""
    digest = key(kernel, foundation, agent)

    def make(folder: Path) -> None:
        progress("guest runtime: packing")
        tree = folder / "agent"
        _compile_agent(foundation, agent, tree)
        # not compressed: machine and kernel copy these bytes faster than an emulated processor unpacks them
        with (folder / "initrd").open("wb") as output:
            archive = CpioWriter(output)
            _write(archive, foundation, kernel, tree)
            archive.close()

    return Runtime(shelf(cache).build(digest, make, progress) / "initrd", digest)


def _compile_agent(foundation: Foundation, agent: Path, tree: Path) -> None:
    """Copy the agent's sources to ``tree`` with their byte code: tracebacks on the console show their lines."""
    tag = f"cpython-{foundation.python.removeprefix('python').replace('.', '')}"
    jobs: list[tuple[Path, Path, str]] = []
    for source in sorted(agent.rglob("*.py")):
        name = source.relative_to(agent)
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        code = target.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
        jobs.append((target, code, f"/usr/lib/{foundation.python}/sandtop/agent/{name}"))
    foundation.compile(jobs, optimize=0)


def _write(archive: CpioWriter, foundation: Foundation, kernel: Kernel, agent: Path) -> None:
    for name in (*_FOLDERS, "etc", "modules"):
        archive.add_folder(name)
    archive.add_character_device("dev/console", 5, 1)
    archive.add_tree(foundation.tree)
    for applet in _APPLETS:
        archive.add_link(f"bin/{applet}", "busybox")
    package = f"usr/lib/{foundation.python}/sandtop"
    for name in (package, f"{package}/agent"):  # no sandtop/__init__.py: that is the host's
        archive.add_folder(name)
    archive.add_tree(agent, f"{package}/agent")
    archive.add_file("etc/fstab.early", _EARLY_MOUNTS.encode())
    archive.add_file("etc/fstab.sandbox", _SANDBOX_MOUNTS.encode())
    for path in sorted(kernel.modules.glob("*.ko")):
        archive.add_file(f"modules/{path.name}", path.read_bytes())
    for group, names in MODULES.items():
        files = " ".join(os.path.join("/modules", path.name) for path in kernel.insertion(names))
        archive.add_file(f"modules/{group}", f"{files}\n".encode())
    archive.add_file("init", _INIT.read_bytes(), executable=True)
