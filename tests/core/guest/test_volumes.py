"""Volumes on the host: made, listed, removed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import AlreadyExists, InvalidRequest, NotFound
from sandtop.core.guest.volumes import Volumes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIB = 1 << 20


def quiet(_line: str) -> None:
    """A progress that nobody hears."""


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path / "volumes", tmp_path / "cache")


def test_a_volume_from_its_making_to_its_removal(volumes: Volumes) -> None:
    assert volumes.all() == []
    made = volumes.create("data", 64 * MIB, quiet)
    assert (made.name, made.size) == ("data", 64 * MIB)
    assert made.used < 8 * MIB, "it is sparse"
    assert made.disk.stat().st_mode & 0o777 == 0o600
    assert (
        "ext4" in subprocess.run(["blkid", "-o", "value", made.disk], capture_output=True, text=True).stdout
    )
    other = volumes.create("B.2_x", 32 * MIB, quiet)
    assert volumes.all() == [other, made]
    assert volumes.get("data") == made
    with pytest.raises(AlreadyExists, match="there is a volume named data already"):
        volumes.create("data", 32 * MIB, quiet)
    assert volumes.get("data") == made
    assert volumes.remove("data") == made.used
    with pytest.raises(NotFound, match="there is no volume named data"):
        volumes.get("data")
    assert [path.name for path in volumes.folder.iterdir()] == ["B.2_x"], "nothing of the making is left"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", ".hidden", "-x", "a b", "ä", "a" * 65, "a\n"])
def test_what_is_no_name(volumes: Volumes, name: str) -> None:
    def create(name: str) -> object:
        return volumes.create(name, 32 * MIB, quiet)

    calls: tuple[Callable[[str], object], ...] = (volumes.get, volumes.remove, create)
    for do in calls:
        with pytest.raises(InvalidRequest, match="cannot be a volume's name"):
            do(name)


def test_what_a_core_left_that_was_killed_is_removed(volumes: Volumes) -> None:
    volumes.create("data", 32 * MIB, quiet)
    (volumes.folder / ".making-x").mkdir()
    (volumes.folder / ".making-x" / "disk.img").touch()
    volumes.sweep()
    assert [path.name for path in volumes.folder.iterdir()] == ["data"]
