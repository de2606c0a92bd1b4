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

_SHARES_CODE: Final = (9, 0)

PACKAGE: Final = "qemu-system-x86"

_INSTALL: Final = "run: sandtop setup"

_VERSION_DEADLINE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Qemu:
    """The QEMU that was found. ``version`` is its own word with the package's, such as ``7.2.22 (Debian 1:7.2+…)``."""

    path: Path
    version: str

    @property
    def release(self) -> tuple[int, int]:
        """Such as ``(7, 2)``."""
        found = re.match(r"(\d+)\.(\d+)", self.version)
        assert found is not None, "find_qemu() takes none without"
        return int(found[1]), int(found[2])

    @property
    def finds_code_by_address(self) -> bool:
        """Whether TCG finds translated code again only at the same virtual address, though the same page is there.

        Then randomised addresses cost a translation of every program at every start. So it is with 7.2.9, 8.1.5, 8.2.1
        and their successors, which took back what 7.2 had brought ("accel/tcg: Revert mapping of PCREL translation
        block to multiple virtual addresses"). 9.0 and newer have it, mended. The few releases before those, from 7.2.0
        to 8.2.0, have it with the faults for which it was taken back.
        """
        return self.release < _SHARES_CODE


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
