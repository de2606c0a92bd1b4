"""The guest's kernel: Debian's cloud kernel, unpacked and never installed."""

from __future__ import annotations

import lzma
import re
import shutil
import struct
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError
from sandtop.core.guest import debs
from sandtop.core.guest.store import Shelf, digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from sandtop.core.guest.archive import Archive
    from sandtop.core.guest.tools import Progress

_PACKAGE: Final = "linux-image-cloud-amd64"
_REAL_PACKAGE: Final = re.compile(r"linux-image-\d.*-cloud-amd64")

_SIGNED: Final = b"~Module signature appended~\n"
_SIGNATURE: Final = struct.Struct(">8xI")

KERNEL_ARGS: Final[tuple[str, ...]] = (
    "console=ttyS0",
    "quiet",
    "panic=-1",  # a panic reboots at once, which ends a machine
    "cryptomgr.notests",  # known-answer tests of ciphers that nobody here uses: 0.4 s of an emulated boot
    "random.trust_cpu=on",  # no waiting for entropy; virtio-rng and the host's own bytes come on top
)
"""The command line that every guest boots with; the machine adds what an emulated processor wants."""


def network_argument(address: str, netmask: str, gateway: str, resolver: str) -> str:
    """What tells the guest its addresses (IPv4): init sets the first three, the agent writes ``resolv.conf``."""
    return f"sandtop.network={address},{netmask},{gateway},{resolver}"


def reject_argument(address: str) -> str:
    """What has connections to ``address`` (IPv4) fail at once in the guest."""
    return f"sandtop.reject={address}"


def egress_argument(address: str, resolver: str) -> str:
    """What has the agent take the connections of programs and pass them on: its own address, and its resolver's."""
    return f"sandtop.egress={address},{resolver}"


def vsock_argument(port: int) -> str:
    """What has the agent listen on ``port`` of the machine's vsock."""
    return f"sandtop.vsock={port}"


MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "base": ("virtio_pci", "squashfs", "overlay"),
    # by virtio device id (virtio specification 1.2, section 5): init inserts those of the devices it finds
    "0x0001": ("virtio_net",),
    "0x0002": ("virtio_blk",),
    "0x0003": ("virtio_console",),
    "0x0004": ("virtio_rng",),
    "0x0005": ("virtio_balloon",),
    "0x0013": ("vmw_vsock_virtio_transport",),
    "fuse": ("fuse",),  # by the agent, for folders of the host
    "loopback": ("vsock_loopback",),  # by nobody but tests: AF_VSOCK within a guest, where the host has none
}
"""What the guest's init inserts, in groups. Dependencies are found when the runtime is built."""


_BUILT_IN: Final = ".built-in"
"""What an empty file beside the modules ends in that names one which is in the kernel itself."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that guests boot.

    Attributes:
        version: as ``uname -r`` says it in the guest.
        image: a bzImage or an uncompressed vmlinux: what a machine boots.
        modules: a folder with the ``.ko`` files of `MODULES` and what these depend on, all in one level.
        digest: names the kernel's exact bytes: it is part of the key of a runtime and of a template.
    """

    version: str
    image: Path
    modules: Path
    digest: str

    def insertion(self, names: Collection[str]) -> list[Path]:
        """The files of the modules ``names`` and of all that they depend on, each after what it needs.

        What is built into this kernel is not among them. Raises `ImageError` when it lacks one of them.
        """
        found = {_module_name(path): path for path in self.modules.glob("*.ko")}
        built_in = {path.name.removesuffix(_BUILT_IN) for path in self.modules.glob(f"*{_BUILT_IN}")}
        return _in_order(found, built_in, names)


def shelf(cache: Path) -> Shelf:
    """Where kernels are kept."""
    return Shelf(cache / "kernels", "kernel", keep=2)


def find(archive: Archive, cache: Path) -> Kernel | None:
    """The kernel of this release, when it has been fetched and is whole."""
    folder = shelf(cache).current(_recipe(archive))
    return _describe(folder) if folder else None


def build(archive: Archive, cache: Path, scratch: Path, progress: Progress) -> Kernel:
    """Fetch the newest cloud kernel of the release. ``scratch`` is an empty folder on the same disk as ``cache``.

    Raises `ImageError`, `MissingDependency`, `StorageError`.
    """
    archive.refresh(lambda line: progress(f"kernel: {line}"))
    package = debs.resolve(archive, [_PACKAGE], _REAL_PACKAGE, scratch)[0]
    recipe = _recipe(archive)
    key = digest_of(recipe, package.name, package.version)[:32]
    place = shelf(cache)

    def make(folder: Path) -> None:
        progress(f"kernel: fetching {package.name} {package.version}")
        tree = scratch / "kernel"
        debs.unpack(archive, [package], tree, scratch, lambda line: progress(f"kernel: {line}"))
        version = package.name.removeprefix("linux-image-")
        shutil.copyfile(tree / "boot" / f"vmlinuz-{version}", folder / "vmlinuz")
        (folder / "version").write_text(version)
        keep_modules(debs.below_usr(tree, "lib/modules") / version, folder / "modules")

    folder = place.build(key, make, progress)
    place.set_current(recipe, key)
    return _describe(folder)


def _recipe(archive: Archive) -> str:
    return digest_of("2", *archive.in_recipes, _PACKAGE, repr(MODULES))[:16]


def _describe(folder: Path) -> Kernel:
    version = (folder / "version").read_text()
    return Kernel(version, folder / "vmlinuz", folder / "modules", folder.name)


def keep_modules(tree: Path, into: Path) -> None:
    """Copy what `MODULES` asks for from the folder ``tree`` of a kernel's modules, ready to be inserted."""
    found = {_module_name(path): path for path in (*tree.rglob("*.ko"), *tree.rglob("*.ko.xz"))}
    built_in = {_module_name(PurePath(line)) for line in (tree / "modules.builtin").read_text().split()}
    into.mkdir()
    for names in MODULES.values():
        for path in _in_order(found, built_in, names):
            (into / path.name.removesuffix(".xz")).write_bytes(_unsigned(_content(path)))
        for name in built_in.intersection(names):
            (into / f"{name}{_BUILT_IN}").touch()


def _content(module: Path) -> bytes:
    data = module.read_bytes()
    return lzma.decompress(data) if module.suffix == ".xz" else data


def _unsigned(module: bytes) -> bytes:
    """The module without the signature at its end: checking it is a tenth of all that an emulated boot computes.

    The guest's kernel takes modules from this runtime alone. The trailer is include/linux/module_signature.h.
    """
    if not module.endswith(_SIGNED):
        return module
    trailer = _SIGNATURE.size + len(_SIGNED)
    (length,) = _SIGNATURE.unpack_from(module, len(module) - trailer)
    return module[: len(module) - trailer - length]


def _module_name(path: PurePath) -> str:
    """The name under which the kernel knows the module in the file ``path``."""
    return path.name.partition(".ko")[0].replace("-", "_")


def _in_order(found: Mapping[str, Path], built_in: Collection[str], names: Collection[str]) -> list[Path]:
    ordered: list[Path] = []

    def add(name: str) -> None:
        path = found.get(name)
        if path is None:
            raise ImageError(f"the kernel package has no module {name}")
        if path in ordered:
            return
        for needed in _depends(path):
            add(needed)
        ordered.append(path)

    for name in names:
        if name not in built_in:
            add(name)
    return ordered


def _depends(module: Path) -> list[str]:
    # modinfo keeps NUL-terminated strings, "depends=a,b" among them; a built-in is not listed there
    match = re.search(rb"\0depends=([^\0]*)\0", _content(module))
    listed = match[1].decode() if match else ""
    return [name.replace("-", "_") for name in listed.split(",") if name]
