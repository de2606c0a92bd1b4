"""Debian packages without installing them: apt finds and downloads, dpkg-deb unpacks. Works without root."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from sandtop.core.errors import ImageError
from sandtop.core.guest import tools
from sandtop.core.guest.tools import Progress, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandtop.core.guest.archive import Archive

_URI_LINE: Final = re.compile(r"^'[^']*' (?P<name>[^_ ]+)_(?P<version>[^_ ]+)_[a-z0-9]+\.deb (?P<size>\d+)")


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the distribution at one version. ``size`` is that of its download, in bytes."""

    name: str
    version: str
    size: int


def resolve(archive: Archive, wanted: Sequence[str], keep: re.Pattern[str], scratch: Path) -> list[Package]:
    """The packages that installing ``wanted`` on an empty machine would take and whose names match ``keep``.

    Reads the lists that ``archive`` has, and not the network. ``scratch`` is an empty folder. Raises `ImageError` when
    they have no such package.
    """
    listed = archive.run(
        [
            "apt-get", "install", "--print-uris", "--no-install-recommends", "-qq",
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
        raise ImageError(f"Debian {archive.release} has none of {' '.join(wanted)}", hint=tools.OTHER_MIRROR)
    return sorted(found, key=lambda package: package.name)


def unpack(
    archive: Archive, packages: Sequence[Package], into: Path, scratch: Path, progress: Progress
) -> None:
    """Download ``packages`` into ``scratch`` and unpack them over each other into the folder ``into``.

    apt checks what it downloads against its signed lists. Raises `ImageError`, `StorageError`.
    """
    megabytes = sum(package.size for package in packages) / 1e6
    progress(f"downloading {_packages(len(packages))} ({megabytes:.0f} MB)")
    archive.run(
        ["apt-get", "download", "-qq", *(f"{package.name}={package.version}" for package in packages)],
        f"downloading {' '.join(package.name for package in packages)}",
        timeout=600,
        cwd=scratch,
    )
    progress(f"unpacking {_packages(len(packages))}")
    for file in sorted(scratch.glob("*.deb")):
        run(["dpkg-deb", "--extract", file, into], f"unpacking {file.name}", timeout=120)


def _packages(number: int) -> str:
    return "1 package" if number == 1 else f"{number} packages"


def below_usr(tree: Path, name: str) -> Path:
    """What packages unpacked into ``tree`` have for ``/name``: since Debian 13 they bring it as ``/usr/name``."""
    path = tree / name
    return path if path.exists() else tree / "usr" / name
