"""Debian packages without installing them: apt finds and downloads, dpkg-deb unpacks. Works without root."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from sandtop.core.errors import ImageError
from sandtop.core.guest.tools import Progress, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_URI_LINE: Final = re.compile(r"^'[^']*' (?P<name>[^_ ]+)_(?P<version>[^_ ]+)_[a-z0-9]+\.deb (?P<size>\d+)")


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the distribution at one version. ``size`` is that of its download, in bytes."""

    name: str
    version: str
    size: int


def resolve(wanted: Sequence[str], keep: re.Pattern[str], scratch: Path) -> list[Package]:
    """The packages that installing ``wanted`` on an empty machine would take and whose names match ``keep``.

    Names apt's own lists only, touching neither the network nor this machine's packages. ``scratch`` is an empty
    folder. Raises `ImageError` when apt knows no such package (its lists are missing or old).
    """
    status = scratch / "status"
    status.touch()
    listed = run(
        [
            "apt-get", "install", "--print-uris", "--no-install-recommends", "-qq",
            "-o", f"Dir::State::status={status}",  # as if nothing were installed
            "-o", f"Dir::Cache::archives={scratch}",  # as if nothing were downloaded: apt lists only what is not
            *wanted,
        ],
        f"looking for {' '.join(wanted)}",
        timeout=60,
    )  # fmt: skip
    found = [
        Package(match["name"], unquote(match["version"]), int(match["size"]))
        for line in listed.splitlines()
        if (match := _URI_LINE.match(line)) and keep.fullmatch(match["name"])
    ]
    if not found:
        raise ImageError(f"apt finds none of {' '.join(wanted)}", hint="run: sudo apt-get update")
    return sorted(found, key=lambda package: package.name)


def unpack(packages: Sequence[Package], into: Path, scratch: Path, progress: Progress) -> None:
    """Download ``packages`` into ``scratch`` and unpack them over each other into the folder ``into``.

    apt checks what it downloads against its signed lists. Raises `ImageError`, `StorageError`.
    """
    megabytes = sum(package.size for package in packages) / 1e6
    progress(f"downloading {len(packages)} packages ({megabytes:.0f} MB)")
    run(
        # as root apt would drop to a user of its own who cannot write to our folder, and warn about it
        ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root"]
        + [f"{package.name}={package.version}" for package in packages],
        f"downloading {' '.join(package.name for package in packages)}",
        timeout=600,
        cwd=scratch,
    )
    progress(f"unpacking {len(packages)} packages")
    for archive in sorted(scratch.glob("*.deb")):
        run(["dpkg-deb", "--extract", archive, into], f"unpacking {archive.name}", timeout=120)
