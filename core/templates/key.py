"""What a template depends on, as one digest: where any of it differs, another template is used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop.core.guest.store import digest_of
from sandtop.core.machine import Accelerator, Memory, command_line

if TYPE_CHECKING:
    from sandtop.core.machine import MachineSpec, Qemu

_RECIPE: Final = "1"
"""Changes with what this package does itself; all else is in the key by its own."""

_NOWHERE: Final = Path("/nowhere")
_NOBODY: Final = "00000000-0000-0000-0000-000000000000"
_CPU_FACTS: Final = ("vendor_id", "cpu family", "model", "stepping", "microcode", "flags")


class Kind(StrEnum):
    """For whom a template is.

    ``FRESH``: a sandbox that has written nothing yet. Its disk is a copy of the template's, mounted already.
    ``LATER``: one that has a disk of its own, which the guest mounts when it goes on. No kernel ever goes on with a
    file system mounted whose disk is not the one that it knows.
    """

    FRESH = "fresh"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a template is not in the machine's spec.

    Attributes:
        kind: for whom it is.
        image_digest: the image's, to find the templates of an image.
        disk: bytes of the overlay disk.
        disk_recipe: how blank overlay disks are made.
        qemu: the program, by path, version with its package's build, and time.
    """

    kind: Kind
    image_digest: str
    disk: int
    disk_recipe: str
    qemu: Qemu


def words_of(kind: Kind) -> str:
    """What tells the guest's init that its machine becomes a template of this kind."""
    return f"sandtop.template={kind.value}"


def template_spec(spec: MachineSpec, kind: Kind) -> MachineSpec:
    """``spec`` with what tells the guest's init that it becomes a template."""
    return replace(spec, arguments=f"{spec.arguments} {words_of(kind)}")


def key_of(shape: Shape, spec: MachineSpec) -> str:
    """The key. Reads the QEMU program's time; the kernel, runtime and image are named by paths with digests in them.

    Resolved ones: homes whose caches are links to one cache share its templates.
    """
    machine = replace(template_spec(spec, shape.kind), uuid=_NOBODY, name="template", memory=Memory(_NOWHERE))
    command = command_line(machine, _NOWHERE, qemu=str(shape.qemu.path))
    host = _host_cpu() if spec.accelerator is Accelerator.KVM else ""
    files = [str(path.resolve()) for path in (spec.kernel, spec.initramfs, spec.image)]
    return digest_of(
        _RECIPE, shape.kind.value, shape.image_digest, str(shape.disk), shape.disk_recipe, shape.qemu.version,
        str(shape.qemu.path.stat().st_mtime_ns), host, *files, *command.argv,
    )[:32]  # fmt: skip


def origin_of(shape: Shape, spec: MachineSpec) -> str:
    """What all templates of one core have in common, kernel, runtime and QEMU: those of another are of no use to it."""
    files = [str(path.resolve()) for path in (spec.kernel, spec.initramfs)]
    stamp = str(shape.qemu.path.stat().st_mtime_ns)
    return digest_of(_RECIPE, shape.disk_recipe, str(shape.qemu.path), shape.qemu.version, stamp, *files)[:32]


def _host_cpu() -> str:
    """What a guest under KVM sees of the host's processor (``-cpu host``)."""
    first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    return repr([facts.get(name) for name in _CPU_FACTS])
