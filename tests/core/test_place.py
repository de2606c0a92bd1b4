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
        (Place("linux", "x86_64", "ubuntu", ("debian",), "Ubuntu 24.04.1 LTS"), True, "Ubuntu 24.04.1 LTS"),
        (Place("linux", "x86_64", "linuxmint", ("ubuntu", "debian"), "Mint"), True, "should do"),
        (
            Place("linux", "x86_64", "fedora", (), "Fedora Linux 43"),
            False,
            "with dnf: qemu-system-x86 squashfs-tools ",
        ),
        (
            Place("linux", "x86_64", "rocky", ("rhel", "fedora"), "Rocky"),
            False,
            "with dnf: qemu-system-x86 squashfs-tools ",
        ),
        (Place("linux", "x86_64", "arch", (), "Arch Linux"), False, "Debian packages"),
    ],
)
def test_where_nobody_tried(place: Place, has_apt: bool, says: str) -> None:
    assert place.refusal is None
    assert place.has_apt is has_apt
    assert place.untried is not None
    assert says in place.untried


def test_this_machine_is_one_where_it_runs() -> None:
    assert here().refusal is None
