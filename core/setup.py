"""What ``sandtop setup`` does: install the packages that sandboxes need, and build what they boot from."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import MissingDependency
from sandtop.core.guest import archive, tools
from sandtop.core.machine.registry import PROGRAMS
from sandtop.core.place import how_to_install

if TYPE_CHECKING:
    from collections.abc import Sequence

# a program of each package: what is on the PATH need not come from a package
_PROGRAMS: Final = {
    **PROGRAMS,
    "mmdebstrap": "mmdebstrap",
    "squashfs-tools": "mksquashfs",
    "xz-utils": "xz",
    "zstd": "zstd",
    "e2fsprogs": "mke2fs",
    "skopeo": "skopeo",
}
# without root mmdebstrap works in a user namespace, which these set up
_FOR_USERS: Final = {"uidmap": "newuidmap", "mount": "mount"}
_KEYS: Final = "debian-archive-keyring"

PACKAGES: Final = (*_PROGRAMS, _KEYS)
"""The Debian packages that sandboxes need."""
PACKAGES_FOR_USERS: Final = tuple(_FOR_USERS)
"""The Debian packages that sandboxes need beside `PACKAGES` where sandtop is not run by root."""
_COST: Final = "some 35 MB to fetch, 150 MB on the disk"
"""What all of them come to on a bare machine, with what they depend on."""
_INSTALL_SECONDS: Final = 1800


def missing() -> list[str]:
    """The needed packages that are not installed."""
    path = tools.environment()["PATH"]
    wanted = dict(_PROGRAMS) if os.geteuid() == 0 else {**_PROGRAMS, **_FOR_USERS}
    found = [package for package, program in wanted.items() if shutil.which(program, path=path) is None]
    return found if archive.keyring_here() else [*found, _KEYS]


def cost(packages: Sequence[str]) -> str:
    """What these take, in words; nothing where it is little."""
    return f" ({_COST})" if PROGRAMS.keys() & {*packages} else ""


def install(packages: Sequence[str]) -> None:
    """Install Debian packages with apt-get, by sudo where need be; both may talk to the terminal, on stderr.

    Raises `MissingDependency` when it did not work, with the command to give to whoever is root.
    """
    command = how_to_install(*packages)
    sudo: list[str] = []
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            by_root = command.replace("sudo ", "")
            raise MissingDependency("neither root nor sudo here", hint=f"let root run: {by_root}")
        sudo = ["sudo"]
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    apt += ["-o", "DPkg::Lock::Timeout=120"]
    for words in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        try:
            done = subprocess.run(
                [*apt, *words], stdout=2, env=tools.environment(), timeout=_INSTALL_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise MissingDependency(
                f"apt-get {words[0]} took longer than {_INSTALL_SECONDS} s", hint=f"run: {command}"
            ) from error
        if done.returncode:
            raise MissingDependency(
                f"apt-get {words[0]} failed (see above)", hint=f"mend that, or run: {command}"
            )
