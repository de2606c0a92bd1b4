"""Which driver runs the machines of a core: the one place that names one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.machine.qemu.driver import QemuDriver

if TYPE_CHECKING:
    from sandtop.core.machine.driver import Driver
    from sandtop.core.paths import Paths


def driver_for(paths: Paths) -> Driver:
    """The driver for a core whose files are at ``paths``."""
    return QemuDriver(paths.cache)
