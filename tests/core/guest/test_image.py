"""Images of the user's own: what goes in comes out, under names that can be listed, replaced and removed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import ImageError, InvalidRequest, MissingDependency, NotFound
from sandtop.core.guest import GuestStore

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.paths import Paths


@pytest.fixture
def store(empty_paths: Paths) -> GuestStore:
    return GuestStore(empty_paths)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a program, a link, and a name that is not ASCII."""
    root = tmp_path / "tree"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "tool").write_text("#!/bin/sh\necho tool\n")
    (root / "bin" / "tool").chmod(0o755)
    (root / "bin" / "link").symlink_to("tool")
    (root / "naïve").write_bytes(os.urandom(100_000))
    return root


@pytest.fixture
def tar(tree: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tree.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(tree, ".")
    return path


def unpacked(image: Path, into: Path) -> Path:
    subprocess.run(["unsquashfs", "-q", "-n", "-d", into, image], check=True, timeout=60, capture_output=True)
    return into


def assert_is_tree(image: Path, into: Path, tree: Path) -> None:
    found = unpacked(image, into)
    assert (found / "bin" / "tool").stat().st_mode & 0o777 == 0o755
    assert os.readlink(found / "bin" / "link") == "tool"
    assert (found / "naïve").read_bytes() == (tree / "naïve").read_bytes()


def test_an_image_of_a_folder(store: GuestStore, tree: Path, tmp_path: Path) -> None:
    said: list[str] = []
    image = store.build_image("mine", tree, said.append)
    assert_is_tree(image.path, tmp_path / "out", tree)
    assert store.image("mine") == image
    assert store.images() == [image]
    assert store.image_path(image.digest) == image.path
    assert (image.name, image.source, image.size) == ("mine", str(tree), image.path.stat().st_size)
    assert any("mine" in line for line in said)


@pytest.mark.parametrize(
    "compressor", [(), ("gzip",), ("xz", "-0"), ("zstd", "-q", "--rm")], ids=["plain", "gz", "xz", "zst"]
)
def test_an_image_of_a_tar(
    store: GuestStore, tar: Path, tree: Path, tmp_path: Path, compressor: tuple[str, ...]
) -> None:
    source = tar
    if compressor:
        subprocess.run([*compressor, tar], check=True, timeout=60)
        (source,) = tmp_path.glob("tree.tar.*")
    assert_is_tree(store.build_image("mine", source).path, tmp_path / "out", tree)


@pytest.mark.parametrize("compressor", [(), ("gzip",), ("xz", "-0"), ("zstd", "-q", "--rm")])
def test_a_cut_tar_is_refused(
    store: GuestStore, tar: Path, tmp_path: Path, compressor: tuple[str, ...]
) -> None:
    source = tar
    if compressor:
        subprocess.run([*compressor, tar], check=True, timeout=60)
        (source,) = tmp_path.glob("tree.tar.*")
    os.truncate(source, source.stat().st_size * 2 // 3)
    with pytest.raises(ImageError, match="reading"):
        store.build_image("mine", source)
    assert store.images() == []
    assert not list(store.paths.images.glob("*.squashfs"))


def test_what_is_no_image_is_refused(store: GuestStore, tmp_path: Path) -> None:
    text, empty = tmp_path / "text", tmp_path / "empty"
    text.write_text("hello")
    empty.mkdir()
    for source in (text, empty, tmp_path / "nowhere"):
        with pytest.raises(InvalidRequest, match=source.name):
            store.build_image("mine", source)


@pytest.mark.parametrize("name", ["", "UPPER", "../up", "a/b", ".hidden", "x" * 64, "a b"])
def test_names_that_cannot_be(store: GuestStore, tree: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match="is no name for an image"):
        store.build_image(name, tree)
    with pytest.raises(NotFound):
        store.image(name)


def test_an_unknown_name_lists_the_known(store: GuestStore, tree: Path) -> None:
    with pytest.raises(NotFound) as caught:
        store.image("mine")
    assert caught.value.hint == "run: sandtop image build base"
    store.build_image("one", tree)
    store.build_image("two", tree)
    with pytest.raises(NotFound) as caught:
        store.image("mine")
    assert str(caught.value) == "no image is called mine (there are: one, two)"


def test_removing_a_name_keeps_what_another_has(store: GuestStore, tree: Path) -> None:
    one, two = store.build_image("one", tree), store.build_image("two", tree)
    assert one.digest == two.digest
    store.remove_image("one")
    assert store.images() == [two]
    assert two.path.exists()
    store.remove_image("two")
    assert store.images() == []
    assert not two.path.exists()
    with pytest.raises(ImageError, match="is gone"):
        store.image_path(two.digest)


def test_what_was_built_again_stays_while_in_use(store: GuestStore, tree: Path) -> None:
    old = store.build_image("mine", tree)
    (tree / "more").write_text("more")
    new = store.build_image("mine", tree)
    assert store.image("mine") == new
    assert new.digest != old.digest
    store.prune_images(in_use={old.digest})
    assert old.path.exists()
    store.prune_images(in_use=())
    assert not old.path.exists()
    assert new.path.exists()


def test_a_truncated_image_is_not_used(store: GuestStore, tree: Path) -> None:
    image = store.build_image("mine", tree)
    image.path.chmod(0o600)
    os.truncate(image.path, 50_000)
    with pytest.raises(ImageError, match="the image mine is damaged"):
        store.image("mine")
    with pytest.raises(ImageError, match="is damaged"):
        store.image_path(image.digest)
    assert store.images() == []
    assert store.build_image("mine", tree) != image
    assert store.image("mine").path.stat().st_size == image.size


def test_without_its_tools_nothing_is_left(
    store: GuestStore, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(_only(tree.parent, "rm")))
    with pytest.raises(MissingDependency, match="mksquashfs is not installed"):
        store.build_image("mine", tree)
    assert {path.name for path in store.paths.images.iterdir()} == {".lock"}


def _only(folder: Path, program: str) -> Path:
    """A folder with that program alone."""
    found = shutil.which(program)
    assert found is not None
    path = folder / "only"
    path.mkdir()
    (path / program).symlink_to(found)
    return path
