"""What a template depends on, as one digest: where any of it differs, another template is used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop.core.guest.store import digest_of
from sandtop.core.machine import Memory

if TYPE_CHECKING:
    from sandtop.core.machine import Driver, MachineSpec, Version

_RECIPE: Final = "2"
"""Changes with what this package does itself; all else is in the key by its own."""

_NOWHERE: Final = Path("/nowhere")


class Kind(StrEnum):
    """Which sandboxes go on from a template.

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
    """

    kind: Kind
    image_digest: str
    disk: int
    disk_recipe: str


def words_of(kind: Kind) -> str:
    """What tells the guest's init that its machine becomes a template of this kind."""
    return f"sandtop.template={kind.value}"


def template_spec(spec: MachineSpec, kind: Kind) -> MachineSpec:
    """``spec`` with what tells the guest's init that it becomes a template."""
    return replace(spec, arguments=f"{spec.arguments} {words_of(kind)}")


def key_of(shape: Shape, spec: MachineSpec, driver: Driver, version: Version) -> str:
    """The key. Kernel, runtime and image are named by paths with digests in them. Blocks.

    Resolved ones: homes whose caches are links to one cache share its templates.
    """
    files = [str(path.resolve()) for path in (spec.kernel, spec.initramfs, spec.image)]
    machine = replace(template_spec(spec, shape.kind), memory=Memory(_NOWHERE))
    return digest_of(
        _RECIPE, shape.kind.value, shape.image_digest, str(shape.disk), shape.disk_recipe, version.stamp, *files,
        *driver.fingerprint(machine),
    )[:32]  # fmt: skip


def origin_of(shape: Shape, spec: MachineSpec, version: Version) -> str:
    """What all templates of one core have in common: kernel, runtime, and the program that runs machines.

    Templates of another origin are of no use to that core.
    """
    files = [str(path.resolve()) for path in (spec.kernel, spec.initramfs)]
    return digest_of(_RECIPE, shape.disk_recipe, version.stamp, *files)[:32]
