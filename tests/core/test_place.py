"""What sandtop says where it cannot run, and where nobody tried: one sentence that names the machine."""

from __future__ import annotations

import pytest

from sandtop.core.place import Place, here


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (Place("darwin", "arm64"), "needs Linux, and this is macOS"),
        (Place("win32", "AMD64"), "needs Linux, and this is Windows"),
        (Place("linux", "aarch64", "debian"), "needs an amd64 processor (x86-64): for aarch64 there is no guest yet"),
    ],
)  # fmt: skip
def test_where_it_cannot_run(place: Place, says: str) -> None:
    assert place.refusal is not None
    assert says in place.refusal
    assert "\n" not in place.refusal


def test_debian_needs_no_words() -> None:
    place = Place("linux", "x86_64", "debian", (), "Debian GNU/Linux 13 (trixie)")
    assert (place.refusal, place.untried, place.has_apt) == (None, None, True)


@pytest.mark.parametrize(
    ("place", "has_apt", "says"),
    [
        (
            Place("linux", "x86_64", "ubuntu", ("debian",), "Ubuntu 24.04.1 LTS", "24.04"),
            True,
            "Ubuntu 24.04.1 LTS has been tried by nobody: its package lists have mmdebstrap and the emulator, ",
        ),
        (
            Place("linux", "x86_64", "ubuntu", ("debian",), "Ubuntu 26.04 LTS", "26.04"),
            True,
            "lists have mmdebstrap",
        ),
        (Place("linux", "x86_64", "ubuntu", ("debian",), "Ubuntu 22.04 LTS", "22.04"), True, "should do"),
        (Place("linux", "x86_64", "linuxmint", ("ubuntu", "debian"), "Mint", "22"), True, "should do"),
        (Place("linux", "x86_64", "fedora", (), "Fedora Linux 43"), False, "all but mmdebstrap"),
        (Place("linux", "x86_64", "rocky", ("rhel", "fedora"), "Rocky"), False, "all but mmdebstrap"),
        (Place("linux", "x86_64", "arch", (), "Arch Linux"), False, "Debian's packages"),
    ],
)
def test_where_nobody_tried(place: Place, has_apt: bool, says: str) -> None:
    assert place.refusal is None
    assert place.has_apt is has_apt
    assert place.untried is not None
    assert says in place.untried


@pytest.mark.parametrize(
    ("distribution", "packages", "command"),
    [
        (
            "debian",
            ("zstd", "uidmap"),
            "sudo apt-get update && sudo apt-get install --no-install-recommends zstd uidmap",
        ),
        (
            "fedora",
            ("qemu-system-x86", "xz-utils", "zstd", "debian-archive-keyring"),
            "sudo dnf install qemu-system-x86 xz zstd debian-keyring",
        ),
        (
            "fedora",
            ("mmdebstrap", "uidmap"),
            "sudo dnf install shadow-utils, and install mmdebstrap from its source",
        ),
        ("fedora", ("mmdebstrap",), "install mmdebstrap from its source"),
        ("arch", ("xz-utils", "zstd"), "install what these Debian packages hold: xz-utils zstd"),
    ],
)
def test_how_packages_are_installed(distribution: str, packages: tuple[str, ...], command: str) -> None:
    assert Place("linux", "x86_64", distribution).how_to_install(packages, root=False) == command


def test_this_machine_is_one_where_it_runs() -> None:
    assert here().refusal is None
