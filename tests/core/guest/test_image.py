"""Images of the user's own: what goes in comes out, under names that can be listed, replaced and removed."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import ImageError, InvalidRequest, MissingDependency, NotFound, WrongState
from sandtop.core.guest import GuestStore, Image
from sandtop.core.guest.store import locked

from ..tar.making import END, file, folder, hard_link, header, link, pax, sparse

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.paths import Paths


def anything(_image: Image) -> None:
    """Whatever it is, it may be removed."""


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


def built(store: GuestStore, tmp_path: Path, *members: bytes) -> Path:
    """The folder that an image of a tar of ``members`` holds."""
    source = tmp_path / "made.tar"
    source.write_bytes(b"".join((*members, END)))
    image = store.build_image("made", source)
    return unpacked(image.path, tmp_path / "root")


def test_of_two_members_of_one_name_the_last_counts(store: GuestStore, tmp_path: Path) -> None:
    """As tar -r means it, whatever they are."""
    root = built(
        store,
        tmp_path,
        folder(b"./"),
        folder(b"./etc", 0o700),
        file(b"./etc/v", b"first"),
        hard_link(b"./etc/w", b"./etc/v"),
        file(b"etc/gone/below", b"x"),
        file(b"etc/kept/below", b"x"),
        link(b"etc/link", b"gone"),
        folder(b"etc/link"),
        file(b"/etc/v", b"second"),
        folder(b"etc/kept", 0o711),
        file(b"etc/gone", b"now a file"),
        folder(b"etc", 0o711),
    )
    assert (root / "etc" / "v").read_text() == "second"
    assert (root / "etc" / "w").read_text() == "first", "it was linked to what was there then"
    assert (root / "etc" / "gone").read_text() == "now a file"
    assert (root / "etc" / "kept" / "below").read_text() == "x"
    assert (root / "etc" / "link").is_dir()
    assert not (root / "etc" / "link").is_symlink()
    assert [(root / "etc" / name).stat().st_mode & 0o777 for name in (".", "kept")] == [0o711, 0o711]


def test_names_lead_through_links_inside_the_root(store: GuestStore, tmp_path: Path) -> None:
    root = built(
        store,
        tmp_path,
        link(b"lib", b"usr/lib"),
        link(b"up", b"../../../usr"),
        link(b"full", b"/usr/./lib"),
        link(b"again", b"full"),
        file(b"lib/a"),
        folder(b"usr"),
        folder(b"usr/lib"),
        file(b"up/b"),
        file(b"again/c"),
        hard_link(b"full/d", b"lib/a"),
    )
    assert sorted(path.name for path in root.iterdir()) == ["again", "full", "lib", "up", "usr"]
    assert sorted(path.name for path in (root / "usr" / "lib").iterdir()) == ["a", "c", "d"]
    assert (root / "usr" / "b").read_text() == "data"
    assert (root / "usr" / "lib" / "d").samefile(root / "usr" / "lib" / "a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root unpacks a device")
def test_all_that_a_tar_can_hold(store: GuestStore, tmp_path: Path) -> None:
    long = b"/".join([b"x" * 200] * 10)
    root = built(
        store,
        tmp_path,
        header(b"null", b"3", device=(1, 3), mode=0o666),
        header(b"fifo", b"6", mode=0o600),
        hard_link(b"pipe", b"fifo"),
        link(b"link", b"to"),
        hard_link(b"same", b"link"),
        pax((b"path", long)) + file(b"x", b"deep"),
        pax((b"linkpath", long)) + link(b"far", b"x"),
        pax((b"SCHILY.xattr.user.note", b"\0=\n\xff")) + file(b"\xff\xfe", uid=1234, gid=5, mode=0o4755),
        pax((b"mtime", b"-1.5")) + file(b"old"),
        pax((b"mtime", b"99999999999")) + file(b"new"),
        pax((b"uid", b"3000000")) + file(b"owned"),
        sparse(b"holes", 1 << 24, b"1\n%d\n4\n" % (1 << 20), b"data"),
    )
    assert (root / "null").is_char_device()
    assert (root / "pipe").is_fifo()
    assert os.readlink(root / "same") == "to"
    assert os.readlink(root / "far") == long.decode()
    assert (root / os.fsdecode(long)).read_text() == "deep"
    odd = os.fsencode(root) + b"/\xff\xfe"
    status = os.stat(odd)
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1234, 5, 0o4755)
    assert os.getxattr(odd, "user.note") == b"\0=\n\xff"
    assert [(root / name).stat().st_mtime for name in ("old", "new")] == [0, 2**32 - 1]
    assert (root / "owned").stat().st_uid == 3_000_000
    content = (root / "holes").read_bytes()
    assert (len(content), content.strip(b"\0"), content.find(b"data")) == (1 << 24, b"data", 1 << 20)


DAMAGED = {
    "a hard link to what is not there": [file(b"a"), hard_link(b"b", b"etc/nowhere")],
    "a hard link to what comes later": [hard_link(b"b", b"a"), file(b"a")],
    "a hard link to a folder": [folder(b"a"), hard_link(b"b", b"a")],
    "a hard link out": [file(b"a"), hard_link(b"b", b"../a")],
    "a name that leads out": [file(b"a/../../b")],
    "a file as the root": [file(b"a"), file(b".")],
    "below a file": [file(b"a"), file(b"a/b")],
    "links in a circle": [link(b"a", b"b"), link(b"b", b"a"), file(b"a/b")],
    "a name of 256 bytes": [pax((b"path", b"x" * 256)) + file(b"a")],
    "an owner that cannot be": [pax((b"uid", b"4294967295")) + file(b"a")],
    "a device that cannot be": [header(b"a", b"3", device=(b"\x80\0\0\0\1\0\0\0", 3))],
    "a kind that is not known": [file(b"a"), header(b"b", b"D")],
    "holes without end": [sparse(b"s", 1 << 50, b"0\n")],
    "a size of 400 digits": [file(b"a"), pax((b"size", b"9" * 400)) + file(b"b")],
}


@pytest.mark.parametrize("members", DAMAGED.values(), ids=list(DAMAGED))
def test_a_tar_that_is_no_root_is_refused(store: GuestStore, tmp_path: Path, members: list[bytes]) -> None:
    with pytest.raises(ImageError, match=r"reading .*made\.tar: ") as caught:
        built(store, tmp_path, *members)
    assert "Traceback" not in str(caught.value)
    assert store.images() == []


DOCKER = (
    file(b"manifest.json", b'[{"Config":"c.json","RepoTags":["x/y:1"],"Layers":["abc/layer.tar"]}]'),
    folder(b"abc"),
    file(b"abc/layer.tar", b"layer"),
)
OCI = (file(b"oci-layout", b"{}"), file(b"./index.json", b"{}"), folder(b"blobs"), folder(b"blobs/sha256"))


@pytest.mark.parametrize(
    ("members", "what"),
    [
        (DOCKER, r"what docker save writes.*\(run: sandtop image load .*\)"),
        (OCI, r"an OCI image layout: .*\(run: sandtop image load .*\)"),
        (DOCKER + OCI, r"an OCI image layout \(so docker save writes it\).*\(run: sandtop image load .*\)"),
    ],
    ids=["docker", "oci", "both"],
)
def test_layers_of_a_container_image_are_refused(
    store: GuestStore, tmp_path: Path, members: tuple[bytes, ...], what: str
) -> None:
    with pytest.raises(InvalidRequest, match=what):
        built(store, tmp_path, *members)
    subprocess.run(["tar", "x", "-C", tmp_path, "-f", tmp_path / "made.tar"], check=True, timeout=60)
    (tmp_path / "made.tar").unlink()
    with pytest.raises(InvalidRequest, match=what):
        store.build_image("made", tmp_path)
    assert store.images() == []


def test_a_root_with_a_manifest_of_its_own_is_none(store: GuestStore, tmp_path: Path) -> None:
    root = built(
        store, tmp_path, file(b"manifest.json", b'{"Layers": []}'), file(b"index.json", b"[]"), folder(b"etc")
    )
    assert (root / "manifest.json").exists()


@pytest.mark.parametrize("members", [(), (folder(b"./"),)])
def test_an_empty_tar_is_refused(store: GuestStore, tmp_path: Path, members: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidRequest, match="is empty"):
        built(store, tmp_path, *members)


@pytest.mark.parametrize("compressor", [("gzip",), ("xz", "-0"), ("zstd", "-q", "--rm")])
def test_a_fault_inside_a_compressed_tar_is_told(
    store: GuestStore, tmp_path: Path, compressor: tuple[str, ...]
) -> None:
    """And not that what unpacked it was not listened to any more."""
    path = tmp_path / "made.tar"
    path.write_bytes(file(b"a") + hard_link(b"b", b"c") + file(b"d", os.urandom(1 << 20)) + END)
    subprocess.run([*compressor, path], check=True, timeout=60)
    (source,) = tmp_path.glob("made.tar.*")
    with pytest.raises(ImageError, match=r"'b': a hard link to 'c', which is not in the archive before it"):
        store.build_image("mine", source)


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
    assert str(caught.value) == (
        "no image is called mine (there are: one, two; one in a registry is fetched by: sandtop image pull mine)"
    )


def test_removing_a_name_keeps_what_another_has(store: GuestStore, tree: Path) -> None:
    one, two = store.build_image("one", tree), store.build_image("two", tree)
    assert one.digest == two.digest
    store.remove_image("one", anything)
    assert store.images() == [two]
    assert two.path.exists()
    store.remove_image("two", anything)
    assert store.images() == []
    assert not two.path.exists()
    with pytest.raises(ImageError, match="is gone"):
        store.image_path(two.digest)


def test_removing_waits_for_a_build_and_takes_what_that_left(store: GuestStore, tree: Path) -> None:
    old = store.build_image("mine", tree)
    (tree / "more").write_text("more")
    new = store.build_image("new", tree)
    said: queue.Queue[str] = queue.Queue()
    asked: list[Image] = []
    with ThreadPoolExecutor() as pool:
        with locked(store.paths.images, lambda: None):
            removal = pool.submit(store.remove_image, "mine", asked.append, said.put)
            assert said.get(timeout=20) == "image mine: another process is building; waiting"
            names = store.paths.images / "names"
            shutil.copy(names / "new.json", names / "mine.json")
        removal.result(timeout=20)
    assert [image.digest for image in asked] == [old.digest, new.digest]
    assert store.images() == [new]
    assert old.path.exists()  # which a sandbox may have been made of meanwhile; pruning knows


def test_what_is_replaced_by_one_in_use_stays(store: GuestStore, tree: Path) -> None:
    image = store.build_image("mine", tree)
    answers = iter([None, WrongState("in use")])

    def check(_image: Image) -> None:
        if (error := next(answers)) is not None:
            raise error

    with pytest.raises(WrongState):
        store.remove_image("mine", check)
    assert store.images() == [image]


def test_an_own_base_is_left_alone(store: GuestStore, tree: Path) -> None:
    image = store.build_image("base", tree)
    assert "base" not in store.lacking()
    reference = store.paths.images / "names" / "base.json"
    facts = json.loads(reference.read_text())
    reference.write_text(json.dumps({**facts, "source": "Debian bookworm, recipe 0123456789abcdef"}))
    assert store.lacking().endswith("the base image")
    assert store.image("base").digest == image.digest


@pytest.mark.parametrize("name", ["x" * 100_000, "\n" * 4096])
def test_a_long_name_is_not_repeated(store: GuestStore, tree: Path, name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        store.build_image(name, tree)
    with pytest.raises(NotFound) as unknown:
        store.image(name)
    assert max(len(str(refused.value)), len(str(unknown.value))) < 250


def test_what_was_built_again_stays_while_in_use(store: GuestStore, tree: Path) -> None:
    old = store.build_image("mine", tree)
    (tree / "more").write_text("more")
    new = store.build_image("mine", tree)
    assert store.image("mine") == new
    assert new.digest != old.digest
    store.prune_images(in_use=lambda: {old.digest})
    assert old.path.exists()
    store.prune_images(in_use=tuple)
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
