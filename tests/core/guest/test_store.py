"""Artefacts are built once, never seen half-built, and built again when they are damaged."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import StorageError
from sandtop.core.guest.store import Shelf, digest_extents, extents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event
    from pathlib import Path

CONTENT = b"x" * 100_000


def ignore(line: str) -> None:
    """A progress that nobody reads."""


def make(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_bytes(CONTENT)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf", "thing", keep=2)


def test_what_is_there_is_not_built_again(shelf: Shelf) -> None:
    built = shelf.build("key", make, ignore)
    assert (built / "sub" / "file").read_bytes() == CONTENT

    def never(folder: Path) -> None:
        pytest.fail("built twice")

    assert shelf.build("key", never, ignore) == built == shelf.find("key")


@pytest.mark.parametrize("damage", ["truncated", "gone", "no manifest", "manifest cut"])
def test_what_is_damaged_is_built_again(shelf: Shelf, damage: str) -> None:
    built = shelf.build("key", make, ignore)
    match damage:
        case "truncated":
            os.truncate(built / "sub" / "file", 5)
        case "gone":
            (built / "sub" / "file").unlink()
        case "no manifest":
            (built / "manifest.json").unlink()
        case _:
            os.truncate(built / "manifest.json", 20)
    assert shelf.find("key") is None
    assert (shelf.build("key", make, ignore) / "sub" / "file").read_bytes() == CONTENT
    assert shelf.find("key") == built


def test_a_failed_build_leaves_nothing(shelf: Shelf) -> None:
    def fail(folder: Path) -> None:
        make(folder)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        shelf.build("key", fail, ignore)
    assert shelf.find("key") is None
    assert [path.name for path in shelf.root.iterdir()] == [".lock"]


def _build_and_hang(shelf: Shelf, begun: Event) -> None:
    def hang(folder: Path) -> None:
        make(folder)
        begun.set()
        signal.pause()

    shelf.build("key", hang, ignore)


def test_a_killed_build_is_cleaned_up_by_the_next(shelf: Shelf) -> None:
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    process = context.Process(target=_build_and_hang, args=(shelf, begun))
    process.start()
    assert begun.wait(30)
    process.kill()
    process.join()
    assert any(path.name.startswith(".building-") for path in shelf.root.iterdir())
    assert shelf.find("key") is None
    shelf.build("other", make, ignore)
    assert {path.name for path in shelf.root.iterdir()} == {".lock", "other"}


def _build_and_count(shelf: Shelf, counter: Path, together: Event) -> None:
    def count(folder: Path) -> None:
        with counter.open("a") as file:
            file.write("built\n")
        make(folder)

    together.wait()
    shelf.build("key", count, ignore)


def test_processes_that_build_at_once_build_once(shelf: Shelf, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    counter, together = tmp_path / "counter", context.Event()
    processes = [context.Process(target=_build_and_count, args=(shelf, counter, together)) for _ in range(6)]
    for process in processes:
        process.start()
    together.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 6
    assert counter.read_text() == "built\n"


def test_the_oldest_are_dropped(shelf: Shelf) -> None:
    for number in range(4):
        os.utime(shelf.build(str(number), make, ignore), (number, number))
    assert [shelf.find(str(number)) is not None for number in range(4)] == [False, False, True, True]


def test_current_is_forgotten_with_its_artefact(shelf: Shelf) -> None:
    assert shelf.current("recipe") is None
    built = shelf.build("key", make, ignore)
    shelf.set_current("recipe", "key")
    assert shelf.current("recipe") == built
    os.truncate(built / "sub" / "file", 5)
    assert shelf.current("recipe") is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of one MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False)
    if done.returncode:
        pytest.skip("this root may not mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_clear_error(small_disk: Path) -> None:
    shelf = Shelf(small_disk / "shelf", "thing", keep=2)

    def make_much(folder: Path) -> None:
        (folder / "file").write_bytes(b"x" * (2 << 20))

    with pytest.raises(StorageError, match="building the thing: No space left on device") as caught:
        shelf.build("key", make_much, ignore)
    assert caught.value.hint == "free some space, or move SANDTOP_HOME to a larger disk"
    assert [path.name for path in shelf.root.iterdir()] == [".lock"]


def test_holes_are_neither_read_nor_taken_for_data(tmp_path: Path) -> None:
    sparse, other = tmp_path / "sparse", tmp_path / "other"
    for path, offset in ((sparse, 1 << 30), (other, (1 << 30) + 4096)):
        with path.open("wb") as file:
            file.truncate(8 << 40)  # reading this through would take an hour
            os.pwrite(file.fileno(), b"data", offset)
    with sparse.open("rb") as file:
        assert list(extents(file.fileno())) == [(1 << 30, (1 << 30) + 4096)]
    assert digest_extents(sparse) != digest_extents(other)
