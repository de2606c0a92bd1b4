"""What is read of a template is what was built, or it is not used; and nobody can change it then."""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import TYPE_CHECKING

import pytest

from sandtop.core.guest.store import Shelf
from sandtop.core.templates.files import (
    FACTS,
    MEMORY,
    OVERLAY,
    STATE,
    Damaged,
    Loaded,
    copy_holes,
    fill,
    memory_file,
)

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {MEMORY: 8 << 20, STATE: 70_000, OVERLAY: 3 << 20, FACTS: 30}
MIDDLE = 4097


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A template of files with holes in them."""

    def make(place: Path) -> None:
        for name, size in SIZES.items():
            with (place / name).open("wb") as file:
                file.write(os.urandom(min(size, 2 * MIDDLE)))
                file.truncate(size)

    return Shelf(tmp_path / "templates", "template", keep=2).build("key", make, lambda _: None)


def test_read_as_it_was_built(folder: Path) -> None:
    loaded = Loaded.read(folder)
    try:
        for name, size in SIZES.items():
            assert os.pread(loaded.descriptors[name], size, 0) == (folder / name).read_bytes()
        assert loaded.unchanged()
        os.utime(folder / STATE)
        assert not loaded.unchanged()
    finally:
        loaded.close()


@pytest.mark.parametrize("name", [MEMORY, STATE, OVERLAY])
@pytest.mark.parametrize("how", ["a bit", "shorter", "longer", "gone", "a hole filled"])
def test_damage_is_seen(folder: Path, name: str, how: str) -> None:
    path, size = folder / name, SIZES[name]
    if how == "gone":
        path.unlink()
    elif how in ("shorter", "longer"):
        os.truncate(path, size + (1 if how == "longer" else -1))
    else:
        with path.open("r+b") as file:
            offset = MIDDLE if how == "a bit" else size - 1
            byte = os.pread(file.fileno(), 1, offset)[0] ^ 1
            os.pwrite(file.fileno(), bytes([byte]), offset)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Damaged):
        Loaded.read(folder)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_manifest_that_is_rubbish(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"memory": 1, "../state": [1, "x"]}')
    with pytest.raises(Damaged):
        Loaded.read(folder)


def test_a_machine_cannot_change_what_it_maps(folder: Path) -> None:
    """As QEMU has it: opened anew for writing through /proc, mapped privately."""
    loaded = Loaded.read(folder)
    size = SIZES[MEMORY]
    taken = os.open(f"/proc/self/fd/{loaded.descriptors[MEMORY]}", os.O_RDWR)
    try:
        for change in (
            lambda: os.pwrite(taken, b"x", 0),
            lambda: os.ftruncate(taken, size + 4096),
            lambda: os.ftruncate(taken, size - 4096),
            lambda: mmap.mmap(taken, size, flags=mmap.MAP_SHARED),
            lambda: fcntl.fcntl(taken, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW),
        ):
            with pytest.raises(PermissionError):
                change()
        with mmap.mmap(taken, size, flags=mmap.MAP_PRIVATE) as mapped:
            mapped[:4] = b"mine"
        assert os.pread(taken, size, 0) == (folder / MEMORY).read_bytes()
    finally:
        os.close(taken)
        loaded.close()


def test_copies_keep_their_holes(folder: Path, tmp_path: Path) -> None:
    loaded = Loaded.read(folder)
    try:
        fill(loaded.descriptors[OVERLAY], tmp_path / "box" / "disk")
    finally:
        loaded.close()
    copied = tmp_path / "box" / "disk"
    assert copied.read_bytes() == (folder / OVERLAY).read_bytes()
    assert copied.stat().st_blocks * 512 < SIZES[OVERLAY] // 10
    memory = memory_file(1 << 30)
    try:
        os.pwrite(memory, b"end", (1 << 30) - 3)
        with (tmp_path / "memory").open("wb") as target:
            copy_holes(memory, target.fileno())
        assert (tmp_path / "memory").stat().st_blocks * 512 < 1 << 20
    finally:
        os.close(memory)
