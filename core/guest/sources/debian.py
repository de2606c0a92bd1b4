"""Packages of Debian as the source of an image: a small system with Python and the tools that people expect to find."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import SandtopError
from sandtop.core.guest import squashfs
from sandtop.core.guest.archive import keyring, reaching
from sandtop.core.guest.store import digest_of
from sandtop.core.guest.tools import missing, run

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.guest.archive import Archive
    from sandtop.core.guest.image import Image
    from sandtop.core.guest.tools import Progress

_PACKAGES: Final = (
    # beside the essential ones. Not a variant of mmdebstrap: those take usrmerge, and it wants all of Perl.
    "apt", "usr-is-merged",
    "ca-certificates", "iproute2", "iputils-ping", "less", "mount", "netbase", "procps", "psmisc", "python3",
    "vim-tiny", "wget", "xz-utils",
)  # fmt: skip

# Runs when all is installed, with the root as $1: no traces of the host, no documentation, byte code that never looks
# at its source (a cold start in the guest then reads one file a module).
_FINISH: Final = r"""
set -eu
cd "$1"
echo sandbox >etc/hostname
printf '127.0.0.1\tlocalhost sandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n' >etc/hosts
: >etc/resolv.conf
: >etc/machine-id
rm -rf usr/share/doc usr/share/man usr/share/info usr/share/locale usr/share/lintian var/cache/debconf/*-old
rm -f etc/apt/apt.conf.d/99mmdebstrap
find usr/lib/python3* -name __pycache__ -prune -exec rm -rf {} +
chroot . python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.*
"""
_OURS: Final = "Debian "
"""How the descriptions begin, of earlier versions of sandtop too."""
_STEPS: Final = tuple(f"I: {verb} " for verb in ("downloading", "extracting", "installing", "creating"))
"""How the lines of mmdebstrap begin that say what it is doing."""
_HOOK: Final = "/usr/share/mmdebstrap/hooks/merged-usr"


@dataclass(frozen=True, slots=True)
class Debian:
    """A small Debian, made today of the packages in ``archive``. Some 300 MB of scratch."""

    archive: Archive

    @property
    def description(self) -> str:
        release = self.archive.release
        return f"{_OURS}{release}, recipe {digest_of('2', release, *_PACKAGES, _FINISH)[:16]}"

    @staticmethod
    def made(image: Image) -> bool:
        """Whether ``image`` is of Debian's packages, of any release and by any recipe; the user's own are of a path."""
        return image.source.startswith(_OURS)

    def write(self, out: Path, scratch: Path, progress: Progress) -> None:
        self.archive.refresh(progress)

        def narrate(line: str) -> None:
            if line.startswith(_STEPS):
                progress(line[3:])

        as_root = os.geteuid() == 0
        squashfs.of_tar(
            [
                *(_own_mounts() if as_root else ()),
                *_mmdebstrap(self.archive, "root" if as_root else "unshare"),
            ],
            out,
            "installing the base image",
            narrate,
            # the users of a user namespace cannot enter a private folder: without root /tmp has to do
            scratch if as_root else None,
        )


def _mmdebstrap(archive: Archive, mode: str) -> list[str]:
    if mode == "unshare" and shutil.which("newuidmap") is None:
        raise missing("newuidmap")
    return [
        "mmdebstrap", f"--mode={mode}", "--variant=custom", "--include=?essential", f"--include={','.join(_PACKAGES)}",
        # the lists are here already
        "--skip=update", f"--setup-hook=copy-in {shlex.quote(str(archive.lists))} /var/lib/apt",
        f"--hook-dir={_HOOK}", f"--customize-hook={_FINISH}", "--format=tar",
        "--dpkgopt=force-unsafe-io",
        f"--keyring={keyring()}", *(f"--aptopt={option}" for option in reaching()),
        archive.release, "-", *archive.sources,
    ]  # fmt: skip


def _own_mounts() -> list[str]:
    """A command prefix that gives mmdebstrap mounts of its own, so that none outlives it however it ends."""
    prefix = ["unshare", "--mount", "--propagation", "unchanged", "--pid", "--fork", "--kill-child"]
    try:
        run([*prefix, "true"], "making a mount namespace", timeout=10)
    except SandtopError:  # a container that lacks the right: mmdebstrap can do without
        return []
    return prefix
