"""What a driver boots to see which accelerator works: as a template, it looks at no disk before the host says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.guest import KERNEL_ARGS
from sandtop.core.machine import Trial
from sandtop.core.templates.key import Kind, words_of

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.guest import BootFiles


def trial_of(files: BootFiles, runtime: Path) -> Trial:
    """The trial for sandboxes that boot from ``files``; ``runtime`` is the folder for sockets.

    Its kernel is not quiet: that it prints shows that it gets on, on however slow a host.
    """
    arguments = " ".join((*(word for word in KERNEL_ARGS if word != "quiet"), words_of(Kind.LATER)))
    return Trial(files.kernel, files.initramfs, files.image, arguments, runtime)
