"""Layers as a root file system: what umoci makes of them is what we make of them, and what is hostile is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from random import Random
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import ImageError, SandtopError
from sandtop.core.guest import GuestStore

from ...tar.making import END, file, folder, hard_link, header, link, pax, sparse
from .making import Layout
from .ten import TEN
from .trees import tree_of, unsquashed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sandtop.core.paths import Paths


@pytest.fixture
def store(empty_paths: Paths) -> GuestStore:
    return GuestStore(empty_paths)


def made_of(store: GuestStore, place: Path, *layers: bytes, **image: object) -> Path:
    """The squashfs file of an image of these layers."""
    Layout(place).image(*layers, name="mine", **image)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    (made,) = store.load_images(place, None)
    return made.path


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("umoci") is None, reason="umoci is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices are for root alone")
@pytest.mark.parametrize(("name", "packed"), [*((name, "gzip") for name in TEN), ("whiteouts", "zstd")])
def test_it_is_what_umoci_unpacks(store: GuestStore, tmp_path: Path, name: str, packed: str) -> None:
    layers, config = TEN[name]()
    layout = Layout(tmp_path / "layout")
    layout.image(*layers, name=name, config=config, packed=packed)
    if packed == "zstd":  # which umoci does not know
        oracle = Layout(tmp_path / "oracle")
        oracle.image(*layers, name=name, config=config, packed="gzip")
        layout_of_oracle = oracle.root
    else:
        layout_of_oracle = layout.root
    theirs = tmp_path / "theirs"
    subprocess.run(
        ["umoci", "raw", "unpack", "--image", f"{layout_of_oracle}:{name}", theirs], check=True, timeout=100
    )
    (image,) = store.load_images(layout.root, None)
    ours = unsquashed(image.path, tmp_path / "ours")
    assert image.container is not None
    # as Docker makes it when a container starts
    for path in filter(None, (image.container.config.workdir, *image.container.config.volumes)):
        assert (ours / path.lstrip("/")).is_dir()
        (theirs / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    assert tree_of(ours) == tree_of(theirs)


def test_whiteouts_and_what_its_own_layer_has(store: GuestStore, tmp_path: Path) -> None:
    """A whiteout removes what is below its layer, and nothing of its layer, in whatever order they come."""
    lower = folder(b"d/") + file(b"d/low") + file(b"d/both", b"1") + file(b"x", b"1") + file(b"y", b"1")
    upper = file(b"d/both", b"2") + file(b"x", b"2") + file(b".wh.x") + file(b"d/.wh..wh..opq")
    upper += file(b".wh.y") + file(b"y", b"2") + hard_link(b"d/again", b"x")
    out = unsquashed(made_of(store, tmp_path / "layout", lower, upper), tmp_path / "out")
    found = {name: (out / name).read_bytes() for name in tree_of(out) if (out / name).is_file()}
    assert found == {"d/both": b"2", "d/again": b"2", "x": b"2", "y": b"2"}


def test_a_whiteout_of_what_only_a_hard_link_keeps(store: GuestStore, tmp_path: Path) -> None:
    lower, upper = file(b"a", b"1"), hard_link(b"d/b", b"a") + file(b".wh.a") + file(b"d/.wh..wh..opq")
    out = unsquashed(made_of(store, tmp_path / "layout", lower, upper), tmp_path / "out")
    assert list(tree_of(out)) == ["d", "d/b"]
    assert (out / "d/b").read_bytes() == b"1"


def test_the_working_folder_and_volumes_are_there(store: GuestStore, tmp_path: Path) -> None:
    config: dict[str, object] = {"WorkingDir": "srv/app", "Volumes": {"/data": {}, "/x/y": {}}}
    out = unsquashed(made_of(store, tmp_path / "layout", file(b"x"), config=config), tmp_path / "out")
    assert {"srv/app", "data"} < tree_of(out).keys()
    assert (out / "x").is_file()  # in the place of a volume, and stays


HOSTILE: Mapping[str, tuple[bytes, ...]] = {
    "'up/../../out': a name with '..' in it": (file(b"up/../../out"),),
    "'h': a name with '..' in it: '../../etc/shadow'": (hard_link(b"h", b"../../etc/shadow"),),
    "'h': a hard link to '/etc/shadow', which is not in the archive before it": (
        hard_link(b"h", b"/etc/shadow"),
    ),
    "'disk': a block device outside of /dev": (header(b"disk", b"4", device=(8, 0)),),
    "'dev/null': a character device outside of /dev": (
        link(b"dev", b"data") + folder(b"data/"),
        header(b"dev/null", b"3", device=(1, 3)),
    ),
    "'.wh...': a whiteout of nothing that can be in a folder": (file(b".wh..."),),
    "'.wh.': a whiteout of nothing that can be in a folder": (file(b".wh."),),
    "'.wh.a/b': something in a whiteout": (file(b".wh.a/b"),),
    "'round/x': leads through links without end": (link(b"round", b"round") + file(b"round/x"),),
    "'huge': the files come to more than 256 GiB": (
        sparse(b"huge", 200 << 30, b"0\n"),
        sparse(b"huge", 200 << 30, b"0\n"),
    ),
    "it ends in the middle": (file(b"x", b"1" * 5000)[:1024],),
    "not a tar archive": (b"text" * 128,),
    "more than 1024 KiB of extension headers": (
        pax((b"SCHILY.xattr.user.a", b"1" * (1 << 20))) + file(b"x"),
    ),
}


@pytest.mark.parametrize("words", HOSTILE)
def test_a_hostile_layer_is_refused_by_name(store: GuestStore, tmp_path: Path, words: str) -> None:
    layers = HOSTILE[words]
    with pytest.raises(ImageError) as caught:
        made_of(store, tmp_path / "layout", *layers)
    assert words in str(caught.value)
    assert f"layer {len(layers)} of {len(layers)}, sha256:" in str(caught.value)
    assert_nothing_is_left(store)


def assert_nothing_is_left(store: GuestStore) -> None:
    left = [path for path in store.paths.cache.rglob("*") if path.is_file() and path.name != ".lock"]
    assert not left
    assert not store.images()


def test_a_damaged_layer_is_refused_and_not_kept(store: GuestStore, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"layer 1 of 1, sha256:.*: it is damaged: its digest is sha256:"):
        made_of(store, tmp_path / "layout", file(b"x"), diff_ids=["sha256:" + "0" * 64])
    assert_nothing_is_left(store)


def test_a_layer_of_which_more_comes_than_the_tar_is_read_to_its_end(
    store: GuestStore, tmp_path: Path
) -> None:
    """Its digest covers what lies behind the tar's end."""
    out = made_of(store, tmp_path / "layout", file(b"x") + END + b"more" * 1000 + END)
    assert list(tree_of(unsquashed(out, tmp_path / "out"))) == ["x"]


def test_a_million_whiteouts_of_one_folder_take_no_longer(store: GuestStore, tmp_path: Path) -> None:
    """Each folder is swept once a layer: else these would be 10^9 steps."""
    many = b"".join(file(b"d/%d" % number, b"") for number in range(3000))
    again = b"".join(file(b"d/n%d" % number, b"") for number in range(3000))
    layers = (many, again + file(b"d/.wh..wh..opq", b"") * 100_000)
    out = unsquashed(made_of(store, tmp_path / "layout", *layers), tmp_path / "out")
    assert len(tree_of(out)) == 3001


@pytest.mark.parametrize("seed", range(4))
def test_sparse_files_of_any_pieces(store: GuestStore, tmp_path: Path, seed: int) -> None:
    """mksquashfs reads on at the wrong place behind pieces that are no whole blocks: it must never see one."""
    random, members, whole = Random(seed), b"", dict[str, bytes]()
    for number in range(20):
        edges = sorted(random.sample(range(random.choice((20, 2000, 20_000))), 2 * random.randint(1, 5)))
        pieces = [(start, end - start) for start, end in zip(edges[::2], edges[1::2], strict=True)]
        size = edges[-1] + random.choice((0, 1, 700))
        data = [random.randbytes(length) for _, length in pieces]
        text = "".join(f"{value}\n" for value in (len(pieces), *(each for piece in pieces for each in piece)))
        members += sparse(b"s%d" % number, size, text.encode(), b"".join(data))
        content = bytearray(size)
        for (start, length), piece in zip(pieces, data, strict=True):
            content[start : start + length] = piece
        whole[f"s{number}"] = bytes(content)
    out = unsquashed(made_of(store, tmp_path / "layout", members), tmp_path / "out")
    assert {name: (out / name).read_bytes() for name in tree_of(out)} == whole


def test_layers_with_nothing_in_them(store: GuestStore, tmp_path: Path) -> None:
    layers = (END, file(b"a"), END, END, file(b"b") + hard_link(b"c", b"a"), END)
    out = unsquashed(made_of(store, tmp_path / "layout", *layers), tmp_path / "out")
    assert sorted(tree_of(out)) == ["a", "b", "c"]


def test_no_files_at_all(store: GuestStore, tmp_path: Path) -> None:
    with pytest.raises(SandtopError, match="there is no file in any of its layers"):
        made_of(store, tmp_path / "layout", END)
