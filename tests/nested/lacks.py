"""What the host lacks for an outer machine, said before anything is begun."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from tests.nested import outer

_PROGRAMS: Final = ("qemu-system-x86_64", "mmdebstrap", "mke2fs", "unshare", "setpriv", "git", "tar")
MEMORY_MIB: Final = 4096
TRANSLATED_MIB: Final = 1024
"""QEMU's cache of translated code: it has two kernels and all of sandtop to hold."""
_BUILD_MIB: Final = 4000
"""What a build takes of the disk for a while; 2 GB of it stay."""
_RUN_MIB: Final = 2000
"""What a run of the tests writes to the outer machine's disk: QEMU keeps it in a file without a name in /var/tmp."""


def lacks() -> str | None:
    """It in words, and what to do; None where nothing is lacking."""
    if os.geteuid() != 0:
        return "it makes a root file system and runs programs in it: run it as root"
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"this host lacks {', '.join(missing)}: run ./bootstrap setup"
    needed = MEMORY_MIB + TRANSLATED_MIB
    if (free := available_mib()) < needed:
        return f"the outer machine takes up to {needed} MiB of memory, and {free} MiB are free here"
    folder = outer.place()
    places = [(written_to(), _RUN_MIB)]
    if not folder.exists():
        places.append((_existing(folder), _BUILD_MIB))
    for place, wanted in places:
        if (free := shutil.disk_usage(place).free >> 20) < wanted:
            return f"it takes {wanted} MiB of the disk under {place}, where {free} MiB are free"
    return None


def available_mib() -> int:
    """Memory that programs can have (proc(5), meminfo)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) >> 10


def written_to() -> Path:
    """Where QEMU keeps what a machine writes to a disk with ``snapshot=on``: not in /tmp, which may be memory."""
    return Path(os.environ.get("TMPDIR") or "/var/tmp")


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())
