"""QEMU's program on this host, and its version."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandtop.core.errors import MissingDependency

QEMU: Final = "qemu-system-x86_64"

_OLDEST: Final = (7, 2)
"""Debian 12's; nothing older was tried."""

PACKAGE: Final = "qemu-system-x86"

_INSTALL: Final = "run: sandtop setup"

_VERSION_DEADLINE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Qemu:
    """The QEMU that was found. ``version`` is its own word with the package's, such as ``7.2.22 (Debian 1:7.2+…)``."""

    path: Path
    version: str


def find_qemu() -> Qemu:
    """The QEMU on PATH. Raises `MissingDependency`, with the command that mends it. Blocks for some 50 ms."""
    found = shutil.which(QEMU)
    if found is None:
        raise MissingDependency(f"{QEMU} is not installed", hint=_INSTALL)
    try:
        done = subprocess.run(
            [found, "--version"], capture_output=True, text=True, timeout=_VERSION_DEADLINE, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingDependency(f"{found} does not run: {error}", hint=_INSTALL) from error
    version = re.search(r"version (((\d+)\.(\d+)\S*).*)", done.stdout)
    if version is None:
        raise MissingDependency(f"{found} does not tell its version", hint=_INSTALL)
    if (int(version[3]), int(version[4])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise MissingDependency(
            f"QEMU {version[2]} is too old: {oldest} is needed", hint="use Debian 12 or newer"
        )
    return Qemu(Path(found).resolve(), version[1].strip())
