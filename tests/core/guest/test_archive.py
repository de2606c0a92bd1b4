"""The apt that guests are built with: the host's mirror and proxies, and nothing else of the host's."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import ImageError, MissingDependency
from sandtop.core.guest import archive, foundation, kernel
from sandtop.core.guest.sources import Debian
from sandtop.core.settings import GUEST_RELEASE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEBIAN = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")


class Host:
    """The apt of a host: what is written here is all that it is set up with, beside this machine's apt.conf.d."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sources = folder / "host.list"
        self._settings = folder / "host.conf"
        monkeypatch.setenv("APT_CONFIG", str(self._settings))
        for name in ("http_proxy", "https_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        self.set()
        self.sources()

    def set(self, *lines: str) -> None:
        own = [f'Dir::Etc::sourcelist "{self._sources}"', 'Dir::Etc::sourceparts "/dev/null"']
        self._settings.write_text("".join(f"{line};\n" for line in (*own, *lines)))

    def sources(self, *lines: str) -> None:
        self._sources.write_text("".join(f"deb {line}\n" for line in lines))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


@pytest.fixture
def nothing_here() -> Iterator[str]:
    """The address of a server that has nothing."""

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Quietly."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ([], DEBIAN),
        # another release than the guest's: the mirror has that too
        (
            [
                "http://mirror.example/debian trixie main contrib",
                "http://mirror.example/debian trixie-updates main",
                "http://mirror.example/debian-security trixie-security main",
            ],
            ("http://mirror.example/debian", "http://mirror.example/debian-security"),
        ),
        # a proxy for several archives, security not among them
        (
            ["https://proxy.example/12 bookworm main", "https://proxy.example/12 bookworm-updates main"],
            ("https://proxy.example/12", DEBIAN[1]),
        ),
        # as debootstrap leaves it
        (["http://mirror.example/debian bookworm main"], ("http://mirror.example/debian", DEBIAN[1])),
        # packages for Debian that are not Debian's
        (["https://a.example/linux/debian bookworm stable", "https://b.example/debian/12/prod bookworm main"], DEBIAN),
        (
            [
                "http://archive.ubuntu.com/ubuntu noble main universe",
                "http://archive.ubuntu.com/ubuntu noble-updates main universe",
                "http://security.ubuntu.com/ubuntu noble-security main",
            ],
            DEBIAN,
        ),
        # a name and a password would end up in the image, where every guest reads them
        (["http://me:secret@mirror.example/debian bookworm main"], DEBIAN),
        (["file:/srv/mirror/debian bookworm main", "file:/srv/mirror/debian bookworm-updates main"], DEBIAN),
    ],
)  # fmt: skip
def test_the_mirror_is_the_hosts_where_it_has_one_of_debian(
    host: Host, tmp_path: Path, sources: list[str], found: tuple[str, str]
) -> None:
    host.sources(*sources)
    assert archive.mirrors(tmp_path) == found


@pytest.mark.slow
def test_how_the_archive_is_reached_comes_from_the_host_and_nothing_else(host: Host, tmp_path: Path) -> None:
    host.set(
        'Acquire::http::Proxy "http://127.0.0.1:9"',  # the discard port: refused at once
        'Acquire::https::CaInfo "/etc/ssl/own.pem"',
        'APT::Update::Post-Invoke {"touch /tmp/ran"}',
        'APT::Default-Release "sid"',
        'APT::Architectures {"amd64"; "i386"}',
    )
    found = archive.at(tmp_path / "cache", "trixie")
    with pytest.raises(ImageError) as caught:
        found.refresh(lambda _: None)
    assert caught.value.hint == "check that this machine reaches its Debian archive"
    settings = found.run(["apt-config", "dump", "--no-empty"], "reading", timeout=30).splitlines()
    assert 'Acquire::http::Proxy "http://127.0.0.1:9";' in settings
    assert 'Acquire::https::CaInfo "/etc/ssl/own.pem";' in settings
    assert 'APT::Architectures:: "amd64";' in settings
    assert not [line for line in settings if "Invoke" in line or "Default-Release" in line or "i386" in line]
    lists = found.run(["apt-get", "indextargets", "--format", "$(RELEASE)"], "reading", timeout=30)
    assert lists == ""  # nothing was fetched, and the host's lists are not among ours
    assert {line.split()[2] for line in found.sources} == {"trixie", "trixie-updates", "trixie-security"}


def test_a_mirror_without_the_release_is_left_for_debians_own(
    host: Host, tmp_path: Path, nothing_here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.sources(f"{nothing_here}/debian bookworm main")
    debian = (f"{nothing_here}/default", f"{nothing_here}/default-security")
    monkeypatch.setattr(archive, "DEFAULT", debian)
    said: list[str] = []
    found = archive.at(tmp_path / "cache", "bookworm")
    with pytest.raises(ImageError, match="does not have a Release file") as caught:
        found.refresh(said.append)
    assert str(caught.value.hint).startswith("check that the mirror")
    assert said == [
        f"fetching the lists of Debian bookworm from {nothing_here}/debian (9 MB)",
        f"{nothing_here}/debian has no Debian bookworm: fetching it from {debian[0]}",
    ]
    assert found.sources[0] == f"deb {debian[0]} bookworm main"


def test_without_debians_keys(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "KEYRINGS", (tmp_path / "none",))
    with pytest.raises(MissingDependency) as caught:
        archive.at(tmp_path / "cache", "bookworm").refresh(lambda _: None)
    assert "keys of Debian's archive" in caught.value.message
    assert str(caught.value.hint).endswith("debian-archive-keyring")


def test_debians_keys_are_on_this_machine() -> None:
    kind = subprocess.run(["head", "-c", "1", archive.keyring()], capture_output=True, check=True).stdout
    assert (
        kind[0] & 0x80
    )  # a binary OpenPGP packet (RFC 9580, 4.2), which is what apt takes without a suffix .asc


def test_what_earlier_versions_built_is_found_and_another_release_is_not(tmp_path: Path) -> None:
    """These are the names under which an earlier version kept what it built of Debian 12.

    A change of a recipe makes everybody who is set up fetch that part again: that is for the changelog.
    """

    def make(folder: Path) -> None:
        (folder / "version").write_text("6.1")

    for part, shelf, name in (
        ("kernels", kernel.shelf(tmp_path), "current-5d440342cf84fce3"),
        ("foundations", foundation.shelf(tmp_path), "current-e9eeb2748b0e62c6"),
    ):
        shelf.build("key", make, lambda _: None)
        (tmp_path / part / "key" / "python").write_text("python3.11")
        (tmp_path / part / name).write_text("key")
    debian, other = archive.at(tmp_path, "bookworm"), archive.at(tmp_path, "trixie")
    assert debian.release == GUEST_RELEASE
    found = kernel.find(debian, tmp_path)
    assert found is not None
    assert found.version == "6.1"
    assert foundation.find(debian, tmp_path) is not None
    assert kernel.find(other, tmp_path) is None
    assert foundation.find(other, tmp_path) is None
    assert Debian(debian).description == "Debian bookworm, recipe a6078b30768c2c6c"
    assert Debian(other).description.startswith("Debian trixie, recipe ")
