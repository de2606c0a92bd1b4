"""What is booted to see whether KVM works: as a template is, which looks at no disk before the host says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.guest import KERNEL_ARGS
from sandtop.core.machine import Trial
from sandtop.core.templates.key import Kind, words_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandtop.core.guest import GuestStore


def trial_of(guest: GuestStore, image_digest: str, runtime: Path, progress: Callable[[str], None]) -> Trial:
    """The trial for sandboxes of this image; ``runtime`` is the folder for sockets.

    Builds kernel and runtime where they are not there. Blocks. Raises as those do.
    """
    return Trial(
        kernel=guest.kernel(progress).image,
        initramfs=guest.runtime(progress).initrd,
        image=guest.image_path(image_digest),
        arguments=" ".join((*KERNEL_ARGS, words_of(Kind.LATER))),
        runtime=runtime,
    )
