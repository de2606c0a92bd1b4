"""Overlay disks: blank, sparse, whole."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import AlreadyExists, InvalidRequest, StorageError
from sandtop.core.guest import GuestStore
from sandtop.core.guest.store import digest_extents

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.paths import Paths

GIB = 1 << 30


@pytest.fixture
def store(empty_paths: Paths) -> GuestStore:
    return GuestStore(empty_paths)


def check(path: Path) -> str:
    """What e2fsck finds without changing anything; it must find nothing."""
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/sbin:/usr/sbin"}
    done = subprocess.run(
        ["e2fsck", "-fn", path], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_disk_is_whole_private_and_nearly_empty(store: GuestStore, tmp_path: Path) -> None:
    for name in ("first", "second"):  # one made, one copied from what the first left
        path = tmp_path / name
        store.create_overlay(path, 4 * GIB)
        found = path.stat()
        assert found.st_size == 4 * GIB
        assert found.st_blocks * 512 < 8 << 20
        assert found.st_mode & 0o777 == 0o600
        check(path)
    assert digest_extents(tmp_path / "first") == digest_extents(tmp_path / "second")


def test_writing_to_a_disk_leaves_the_blank_one_alone(store: GuestStore, tmp_path: Path) -> None:
    store.create_overlay(tmp_path / "first", 64 << 20)
    (tmp_path / "first").write_bytes(b"\xff" * (64 << 20))
    store.create_overlay(tmp_path / "second", 64 << 20)
    check(tmp_path / "second")


def test_a_truncated_blank_is_made_again(store: GuestStore, tmp_path: Path) -> None:
    store.create_overlay(tmp_path / "first", 64 << 20)
    (blank,) = store.paths.cache.glob("blanks/*/disk.ext4")
    os.truncate(blank, 1 << 20)
    store.create_overlay(tmp_path / "second", 64 << 20)
    check(tmp_path / "second")


def test_a_disk_too_small_is_refused(store: GuestStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        store.create_overlay(tmp_path / "disk", 1 << 20)
    assert caught.value.hint == "give it at least 32 MiB"
    store.create_overlay(tmp_path / "disk", 32 << 20)
    check(tmp_path / "disk")


def test_nothing_is_overwritten(store: GuestStore, tmp_path: Path) -> None:
    (tmp_path / "disk").write_text("somebody's")
    with pytest.raises(AlreadyExists):
        store.create_overlay(tmp_path / "disk", 64 << 20)
    assert (tmp_path / "disk").read_text() == "somebody's"


def test_a_folder_that_is_not_there_is_named(store: GuestStore, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no-such-folder"):
        store.create_overlay(tmp_path / "no-such-folder" / "disk", 64 << 20)
