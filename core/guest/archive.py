"""One Debian release, through an apt of our own: guests are alike whatever the host is, whose apt stays as it is.

Sources and lists are below the cache. Of the host's apt come the mirror, where it has one of Debian, and the way there:
proxies, certificates, retries.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError, MissingDependency
from sandtop.core.guest import tools
from sandtop.core.place import how_to_install

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.guest.tools import Progress

_HERE: Final = "http://deb.debian.org"
DEFAULT: Final = (f"{_HERE}/debian", f"{_HERE}/debian-security")
"""Where the main archive and the security updates are when the host's apt names no mirror of Debian."""
KEYRINGS: Final = tuple(Path(f"/usr/share/keyrings/debian-archive-keyring.{kind}") for kind in ("gpg", "pgp"))
_INDEX: Final = re.compile(
    r"^'(?P<site>https?://[^'@]+?)/+dists/(?P<suite>[a-z]+)(?P<part>|-updates|-security)/InRelease'", re.M
)
_SUITES: Final = ("bullseye", "bookworm", "trixie", "forky", "duke", "oldstable", "stable", "testing")
# of the settings that `apt-config dump` prints: how the archive is reached, and how old its lists may be
_REACHING: Final = re.compile(r'Acquire::(https?::|Check-|ForceIPv|Retries\b|Proxy-Auto).* "[^"]+";')


@dataclass(frozen=True, slots=True)
class Archive:
    """The packages of the Debian ``release`` for amd64. ``folder`` is where apt keeps what it knows of them."""

    release: str
    folder: Path

    def refresh(self, progress: Progress) -> None:
        """Fetch the lists of packages, unless they were fetched minutes ago.

        Raises `MissingDependency` without apt or Debian's keys, `ImageError` when the archive cannot be reached.
        """
        if self._fresh():
            return
        self.lists.mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        self._settings.write_text(self._configuration())
        found = mirrors(self.folder)
        progress(f"fetching the lists of Debian {self.release} from {found[0]} (9 MB)")
        try:
            self._fetch_lists(found)
        except ImageError as error:
            if found == DEFAULT or not any(sign in error.message for sign in _LACKS):
                raise
            progress(f"{found[0]} has no Debian {self.release}: fetching it from {DEFAULT[0]}")
            self._fetch_lists(DEFAULT)
        self._stamp.touch()

    def _fresh(self) -> bool:
        try:
            return 0 <= time.time() - self._stamp.stat().st_mtime < _FRESH_SECONDS
        except FileNotFoundError:
            return False

    def run(self, argv: Sequence[str | Path], doing: str, *, timeout: float, cwd: Path | None = None) -> str:
        """Run a program of apt's that sees this release alone. As `tools.run`."""
        return tools.run(argv, doing, timeout=timeout, cwd=cwd, env={"APT_CONFIG": str(self._settings)})

    @property
    def in_recipes(self) -> tuple[str, ...]:
        """The release as a part of recipes. Not bookworm: what earlier versions built of it, without a word, stays."""
        return () if self.release == "bookworm" else (self.release,)

    @property
    def sources(self) -> list[str]:
        """What `refresh` fetched from, as lines of sources.list."""
        return self._list.read_text().splitlines()

    @property
    def lists(self) -> Path:
        """The folder of what `refresh` fetched, as apt has it in ``/var/lib/apt/lists``."""
        return self.folder / "lists"

    @property
    def _settings(self) -> Path:
        return self.folder / "apt.conf"

    @property
    def _stamp(self) -> Path:
        return self.folder / "fetched"

    @property
    def _list(self) -> Path:
        return self.folder / "sources.list"

    def _fetch_lists(self, found: tuple[str, str]) -> None:
        main, security = found
        self._list.write_text(
            f"deb {main} {self.release} main\n"
            f"deb {main} {self.release}-updates main\n"
            f"deb {security} {self.release}-security main\n"
        )
        # without the mode apt takes a list that it could not fetch for a warning
        argv = ["apt-get", "update", "-qq", "-o", "APT::Update::Error-Mode=any"]
        self.run(argv, f"fetching the lists of Debian {self.release}", timeout=600)

    def _configuration(self) -> str:
        own = {
            "Dir::Etc::main": "/dev/null",  # the host's own settings would follow, its hooks among them
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::sourcelist": str(self._list),
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::trusted": str(keyring()),
            "Dir::State::lists": str(self.lists),
            "Dir::State::status": str(self.folder / "status"),  # as if nothing were installed
            "Dir::Cache": str(self.folder),
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Acquire::GzipIndexes": "true",
            "Acquire::Languages": "none",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            # as root apt would drop to a user of its own who cannot write to our folder
            "APT::Sandbox::User": "root",
        }
        lines = [f"{setting};" for setting in reaching()]
        return "\n".join([*lines, *(f'{name} "{value}";' for name, value in own.items()), ""])


_FRESH_SECONDS: Final = 600.0
"""What is built in one go is built of the same lists. The archive itself changes every six hours."""
_LACKS: Final = ("does not have a Release file", "404  Not Found")
"""What apt says of a mirror that is there and does not have the release."""


def at(cache: Path, release: str) -> Archive:
    """The archive of ``release``, kept below ``cache``."""
    return Archive(release, cache / "apt" / release)


def keyring() -> Path:
    """The keys that Debian signs its archive with. Raises `MissingDependency` on a host that lacks them."""
    found = keyring_here()
    if found is None:
        raise MissingDependency(
            "the keys of Debian's archive are not here, by which the guest's packages are checked",
            hint=f"run: {how_to_install('debian-archive-keyring')}",
        )
    return found


def keyring_here() -> Path | None:
    """The file of these keys, if there is one."""
    return next((path for path in KEYRINGS if path.exists()), None)


def reaching() -> list[str]:
    """How this machine's apt reaches its archive, as ``NAME "VALUE"``."""
    dumped = tools.run(["apt-config", "dump", "--no-empty"], "reading apt's settings", timeout=30)
    return [line.rstrip(";") for line in dumped.splitlines() if _REACHING.fullmatch(line)]


def mirrors(scratch: Path) -> tuple[str, str]:
    """The host's mirror of Debian and that of its security updates; Debian's own when it has none.

    Its lists would tell which source is Debian's, but a new host has none yet. What a source has tells too: nobody
    else has a suite of Debian together with its updates (`…/linux/debian bookworm` may be somebody's packages for it).
    """
    lists = scratch / "host-lists"
    lists.mkdir(exist_ok=True)
    argv = [
        "apt-get",
        "update",
        "--print-uris",
        "-o",
        f"Dir::State::lists={lists}",
        "-o",
        "Debug::NoLocking=1",
    ]
    listed = tools.run(argv, "reading apt's sources", timeout=30)
    suites: dict[str, set[str]] = {}
    security = ""
    for match in _INDEX.finditer(listed):
        if match["suite"] not in _SUITES:
            continue
        if match["part"] == "-security":
            security = security or match["site"]
        else:
            suites.setdefault(match["site"], set()).add(match["part"])
    with_updates = [site for site, parts in suites.items() if parts == {"", "-updates"}]
    plain = [site for site in suites if re.fullmatch(r"https?://[^/]+/debian", site)]
    main = next(iter(with_updates + plain), None)
    return (main, security or DEFAULT[1]) if main else DEFAULT
