"""Where sandtop runs: Linux on amd64, with the packages of Debian. What it says anywhere else, in one sentence."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop.core.findings import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

_AMD64: Final = ("x86_64", "amd64")
_UBUNTU: Final = ("24.04", "26.04")
"""The releases whose package lists were looked at: mmdebstrap (in universe) and the emulator are there, new enough."""
# What other than Debian calls them; where nothing is said it is the same word.
_FEDORA: Final = {
    "xz-utils": "xz",
    "debian-archive-keyring": "debian-keyring",
    "uidmap": "shadow-utils",
    "mount": "util-linux",
}
_NOT_FEDORA: Final = "mmdebstrap"
"""The pages of Fedora's packages were searched for it in vain. What it needs, apt and dpkg, is there."""


@dataclass(frozen=True, slots=True)
class Place:
    """A machine: ``system`` as `sys.platform` has it, the ``processor`` as uname does.

    The ``distribution``, those that it is ``like``, and its ``release`` are words of os-release(5). ``name`` is for us.
    """

    system: str
    processor: str
    distribution: str = ""
    like: tuple[str, ...] = ()
    name: str = "this Linux"
    release: str = ""

    @property
    def refusal(self) -> str | None:
        """Why sandtop cannot run here, whatever is installed; None where it can."""
        if self.system != "linux":
            system = {"darwin": "macOS", "win32": "Windows"}.get(self.system, self.system)
            return f"sandtop needs Linux, and this is {system}: use a machine, or a virtual one, with Debian 12 or 13"
        if self.processor not in _AMD64:
            return f"sandtop needs an amd64 processor (x86-64): for {self.processor} there is no guest yet"
        return None

    @property
    def has_apt(self) -> bool:
        """Whether apt installs programs here."""
        return bool({"debian", "ubuntu"} & self._kinds)

    @property
    def untried(self) -> str | None:
        """What nobody knows about this distribution; None for Debian, where sandtop is tested."""
        if self.distribution == "debian":
            return None
        tried = f"{self.name} has been tried by nobody:"
        if self.distribution == "ubuntu" and self.release in _UBUNTU:
            return f"{tried} its package lists have mmdebstrap and the emulator, and the guest is Debian's everywhere"
        if self.has_apt:
            return f"{tried} it should do, as the guest is Debian's everywhere"
        if "fedora" in self._kinds:
            return f"{tried} Fedora seems to have all but {_NOT_FEDORA}, which has to come from its source"
        return f"{tried} install what Debian's packages of these names hold"

    def how_to_install(self, packages: Sequence[str], *, root: bool) -> str:
        """The command that installs these Debian packages here, or what to do where there is none."""
        sudo = "" if root else "sudo "
        if self.has_apt:
            words = shlex.join(packages)
            return f"{sudo}apt-get update && {sudo}apt-get install --no-install-recommends {words}"
        if "fedora" in self._kinds:
            names = [_FEDORA.get(name, name) for name in packages if name != _NOT_FEDORA]
            steps = [f"{sudo}dnf install {shlex.join(names)}"] if names else []
            source = [f"install {_NOT_FEDORA} from its source"] if _NOT_FEDORA in packages else []
            return ", and ".join(steps + source)
        return f"install what these Debian packages hold: {' '.join(packages)}"

    @property
    def finding(self) -> Finding:
        """The row of ``doctor``."""
        import platform  # for some milliseconds, which no other command has to spare

        if self.refusal is not None:
            return Finding("host", Verdict.FAIL, self.refusal)
        if self.untried is not None:
            return Finding("host", Verdict.WARN, self.untried)
        return Finding(
            "host", Verdict.OK, f"{self.name}, {self.processor}, Python {platform.python_version()}"
        )

    @property
    def _kinds(self) -> set[str]:
        return {self.distribution, *self.like}


@cache
def here() -> Place:
    """This machine."""
    facts: dict[str, str] = {}
    for file in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            lines = Path(file).read_text(errors="replace").splitlines()
        except OSError:
            continue
        facts = {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}
        break
    return Place(
        sys.platform,
        os.uname().machine if hasattr(os, "uname") else "",
        facts.get("ID", ""),
        tuple(facts.get("ID_LIKE", "").split()),
        facts.get("PRETTY_NAME", "this Linux"),
        facts.get("VERSION_ID", ""),
    )


def how_to_install(*packages: str) -> str:
    """The command with which this user installs Debian ``packages`` here, also where apt has no lists yet."""
    return here().how_to_install(packages, root=os.geteuid() == 0)
