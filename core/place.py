"""Where sandtop runs: Linux on amd64, with the packages of Debian. What it says anywhere else, in one sentence."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandtop.core.findings import Finding, Verdict

_FEDORA: Final = "squashfs-tools e2fsprogs xz zstd apt dpkg debian-keyring mmdebstrap shadow-utils"
_AMD64: Final = ("x86_64", "amd64")


@dataclass(frozen=True, slots=True)
class Place:
    """A machine: ``system`` as `sys.platform` has it, the ``processor`` as uname does.

    The ``distribution`` and the ones that it is ``like`` are the words of os-release(5), ``name`` is for people.
    """

    system: str
    processor: str
    distribution: str = ""
    like: tuple[str, ...] = ()
    name: str = "this Linux"

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
        return "debian" in (self.distribution, *self.like) or "ubuntu" in (self.distribution, *self.like)

    @property
    def untried(self) -> str | None:
        """What nobody knows about this distribution; None for Debian, where sandtop is tested."""
        if self.distribution == "debian":
            return None
        if self.has_apt:
            return f"{self.name} has been tried by nobody: it should do, as the guest is Debian's everywhere"
        if "fedora" in (self.distribution, *self.like):
            from sandtop.core.machine.registry import PROGRAMS  # which only Linux can import

            packages = f"{' '.join(PROGRAMS)} {_FEDORA}"
            return f"{self.name} has been tried by nobody: install these packages with dnf: {packages}"
        return f"{self.name} has been tried by nobody: install what these Debian packages hold"

    @property
    def finding(self) -> Finding:
        """The row of ``doctor``."""
        if self.refusal is not None:
            return Finding("host", Verdict.FAIL, self.refusal)
        if self.untried is not None:
            return Finding("host", Verdict.WARN, self.untried)
        return Finding(
            "host", Verdict.OK, f"{self.name}, {self.processor}, Python {platform.python_version()}"
        )


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
    )
