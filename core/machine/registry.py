"""Which driver runs the machines of a core: the one place that names one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.core.machine.qemu.driver import QemuDriver
from sandtop.core.machine.qemu.program import PACKAGE, QEMU
from sandtop.core.machine.spec import Channel
from sandtop.core.settings import TRANSLATION_CACHE_MIB

if TYPE_CHECKING:
    from sandtop.core.machine.driver import Driver
    from sandtop.core.paths import Paths


PROGRAMS: Final = {PACKAGE: QEMU}
"""What that driver needs on the host: of each Debian package a program that it brings."""

ANY_CHANNEL: Final = "auto"
"""The setting ``channel`` of whoever leaves the choice to the core."""


def driver_for(
    paths: Paths, channel: str = ANY_CHANNEL, translation_cache_mib: int = TRANSLATION_CACHE_MIB
) -> Driver:
    """The driver for a core whose files are at ``paths``.

    ``channel`` is the setting of that name: the value of a `Channel`, or `ANY_CHANNEL` for the best that works.
    ``translation_cache_mib`` is the setting of that name.
    """
    chosen = None if channel == ANY_CHANNEL else Channel(channel)
    return QemuDriver(paths.cache, chosen, translation_cache_mib)
