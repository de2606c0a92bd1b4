"""Which driver runs the machines of a core: the one place that names one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.core.machine.qemu.driver import QemuDriver
from sandtop.core.machine.qemu.program import PACKAGE, QEMU

if TYPE_CHECKING:
    from sandtop.core.machine.driver import Driver
    from sandtop.core.paths import Paths


PROGRAMS: Final = {PACKAGE: QEMU}
"""What that driver needs on the host: of each Debian package a program that it brings."""


def driver_for(paths: Paths) -> Driver:
    """The driver for a core whose files are at ``paths``."""
    return QemuDriver(paths.cache)
