"""Images in files: what docker save and the OCI's tools write comes in, under its names; what is hostile does not."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import ImageError, InvalidRequest, SandtopError
from sandtop.core.guest import GuestStore

from ...tar.making import END, file, hard_link, header, link, sparse
from .making import Layout, docker_save
from .trees import tree_of, unsquashed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandtop.core.paths import Paths

BASE, TOP = file(b"base", b"1" * 3000), file(b"top", b"2")
ARM: dict[str, str] = {"os": "linux", "architecture": "arm64"}


@pytest.fixture
def store(empty_paths: Paths) -> GuestStore:
    return GuestStore(empty_paths)


def left(store: GuestStore) -> list[Path]:
    return [path for path in store.paths.cache.rglob("*") if path.is_file() and path.name != ".lock"]


@pytest.mark.parametrize("kind", ["docker", "docker.gz", "docker.zst", "archive", "layout"])
def test_whatever_it_is_in_the_image_is_the_same(store: GuestStore, tmp_path: Path, kind: str) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image(BASE, TOP, name="team/app:1.0", config={"Cmd": ["/top"]})
    saved = docker_save(tmp_path / "saved.tar", ([BASE, TOP], ["team/app:1.0"], {"Cmd": ["/top"]}))
    path = {"layout": layout.root, "archive": layout.archive(tmp_path / "oci.tar")}.get(kind, saved)
    if kind.endswith("gz"):
        path = tmp_path / "saved.tar.gz"
        path.write_bytes(gzip.compress(saved.read_bytes()))
    elif kind.endswith("zst"):
        subprocess.run(["zstd", "-q", saved], check=True, timeout=60)
        path = tmp_path / "saved.tar.zst"
    said: list[str] = []
    (image,) = store.load_images(path, None, said.append)
    assert image.name == "team/app:1.0"
    assert image.container is not None
    assert image.container.config.cmd == ("/top",)
    assert len([line for line in said if line.startswith(f"{path}: layer ")]) == 2
    assert sorted(tree_of(unsquashed(image.path, tmp_path / "out"))) == ["base", "top"]
    for name in ("team/app:1.0", "docker.io/team/app:1.0"):
        assert store.image(name) == image
    assert not [path for path in store.paths.layers.glob(".scratch-*")]


def test_several_images_with_several_names(store: GuestStore, tmp_path: Path) -> None:
    saved = docker_save(
        tmp_path / "saved.tar", ([BASE], ["a", "b:2"], {}), ([BASE, TOP], ["localhost:5000/c"], {})
    )
    images = store.load_images(saved, None)
    assert [image.name for image in images] == ["a", "b:2", "localhost:5000/c:latest"]
    assert images[0].digest == images[1].digest != images[2].digest
    assert (
        len(list((store.paths.layers / "blobs" / "sha256").iterdir())) == 4
    )  # two layers, two configurations


def test_a_name_in_place_of_what_it_says_or_does_not_say(store: GuestStore, tmp_path: Path) -> None:
    saved = docker_save(tmp_path / "saved.tar", ([BASE], [], {}))
    with pytest.raises(InvalidRequest, match=r"an image without a name \(give it one: --name NAME\)"):
        store.load_images(saved, None)
    assert not left(store)
    for name, called in (("mine", "mine"), ("team/x", "team/x:latest"), ("docker.io/library/y:1", "y:1")):
        (image,) = store.load_images(saved, name)
        assert image.name == called
        assert store.image(name) == image
    with pytest.raises(InvalidRequest, match="'Mine' is no name for an image"):
        store.load_images(saved, "Mine")
    two = docker_save(tmp_path / "two.tar", ([BASE], ["a"], {}), ([TOP], ["b"], {}))
    with pytest.raises(InvalidRequest, match="has 2 images, which cannot all be called mine"):
        store.load_images(two, "mine")


def test_the_platforms_of_one_image(store: GuestStore, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    ours, arm = layout.image(BASE), layout.image(TOP, platform=ARM)
    listed = layout.list_of(
        {**arm, "platform": ARM}, {**ours, "platform": {"os": "linux", "architecture": "amd64"}}
    )
    layout.list_of(listed, name="app:1")  # as buildx writes it: a list in a list
    (image,) = store.load_images(layout.root, None)
    assert sorted(tree_of(unsquashed(image.path, tmp_path / "out"))) == ["base"]


def test_an_own_name_goes_before_one_in_a_registry(store: GuestStore, tmp_path: Path) -> None:
    saved = docker_save(tmp_path / "saved.tar", ([BASE], ["tools"], {}))
    other = docker_save(tmp_path / "other.tar", ([TOP], [], {}))
    (official,) = store.load_images(saved, "tools:latest")
    assert store.image("tools") == official
    (own,) = store.load_images(other, "tools")
    assert store.image("tools") == own
    assert store.image("tools:latest") == official


def test_base_is_never_somebodys_that_is_called_the_same(store: GuestStore, tmp_path: Path) -> None:
    saved = docker_save(tmp_path / "saved.tar", ([BASE], ["base:latest"], {}))
    (image,) = store.load_images(saved, None)
    assert store.find_image("base") is None
    store.tag_image("base:latest", "base")
    found = store.image("base")
    assert (found.name, found.digest) == ("base", image.digest)


def test_tags(store: GuestStore, tmp_path: Path) -> None:
    (image,) = store.load_images(docker_save(tmp_path / "saved.tar", ([BASE], ["a"], {})), None)
    assert store.tag_image("a", "mine").digest == image.digest
    assert store.tag_image("mine", "ghcr.io/me/b:2").name == "ghcr.io/me/b:2"
    store.remove_image("a", lambda _: None)
    assert image.path.exists()
    assert [found.name for found in store.images()] == ["ghcr.io/me/b:2", "mine"]
    for name in ("mine", "ghcr.io/me/b:2"):
        store.remove_image(name, lambda _: None)
    assert not list((store.paths.layers / "blobs" / "sha256").glob(image.container.layers[0].digest[7:]))  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    with pytest.raises(SandtopError, match="no image is called a"):
        store.tag_image("a", "b")


def test_what_nobody_has_any_more_is_freed(store: GuestStore, tmp_path: Path) -> None:
    store.load_images(docker_save(tmp_path / "saved.tar", ([BASE], ["a"], {})), None)
    blobs = store.paths.layers / "blobs" / "sha256"
    stray = blobs / ("0" * 64)
    stray.write_bytes(b"1" * 1000)
    store.prune_images(list)
    assert stray.exists()  # a pull that was cut off may go on from it
    assert store.free(list) >= 1000
    assert not stray.exists()
    assert store.image("a").path.exists()


def layout_with(place: Path, change: Callable[[Layout], object]) -> Path:
    layout = Layout(place)
    layout.image(BASE, name="a")
    change(layout)
    return place


def an_image(place: Path, *layers: bytes, **image: object) -> Path:
    Layout(place).image(*layers, **image)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return place


def a_tar(place: Path, members: bytes) -> Path:
    place.write_bytes(members + END)
    return place


def _replace_blob(layout: Layout, number: int) -> None:
    """Of manifest, configuration and layer, by size: other bytes under the same name."""
    paths = sorted((layout.root / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = paths[number].read_bytes()
    paths[number].write_bytes(data.replace(b"a", b"b", 1) if number else bytes(reversed(data)))


def _deep(layout: Layout) -> None:
    layout.index.clear()
    made = layout.image(BASE)
    for _ in range(9):
        made = layout.list_of(made)
    layout.list_of(made, name="deep:1")


def _many_layers(layout: Layout) -> None:
    layout.index.clear()
    layout.image(*[file(b"f")] * 513, name="many:1")


def _text(layout: Layout, name: str, text: str) -> None:
    (layout.root / name).write_text(text)


HOSTILE: dict[str, Callable[[Path], Path]] = {
    "'../../etc/passwd': a name that leads out of it": lambda at: a_tar(at, file(b"../../etc/passwd")),
    "'/etc/passwd': a name that leads out of it": lambda at: a_tar(at, file(b"/etc/passwd")),
    "'sda': a block device": lambda at: a_tar(at, header(b"sda", b"4", device=(8, 0))),
    "'h': a hard link": lambda at: a_tar(at, file(b"x") + hard_link(b"h", b"x")),
    "'s': a sparse file": lambda at: a_tar(at, sparse(b"s", 1 << 40, b"0\n")),
    "more than 20,000 members": lambda at: a_tar(at, file(b"x", b"") * 20_001),
    "'c.json' is a link to '../../../etc/passwd', which is not in it": lambda at: a_tar(
        at,
        file(b"manifest.json", b'[{"Config": "c.json", "RepoTags": ["a"], "Layers": []}]')
        + link(b"c.json", b"../../../etc/passwd"),
    ),
    "is not a tar file": lambda at: a_tar(at, b"text" * 300),
    "it ends in the middle": lambda at: _cut(at),
    "has no image of docker save or OCI in it": lambda at: a_tar(at, file(b"x")),
    "has no images in it": lambda at: a_tar(at, file(b"manifest.json", b"[]")),
    "manifest.json has more than 4 MiB": lambda at: a_tar(at, file(b"manifest.json", b" " * (5 << 20))),
    "a document whose parts are in each other without end": lambda at: a_tar(
        at, file(b"manifest.json", b"[" * (1 << 20))
    ),
    "a document that is no JSON": lambda at: a_tar(at, file(b"manifest.json", b"{")),
    "lists of manifests in lists, more than 4 deep": lambda at: layout_with(at, _deep),
    "513 layers, more than 512": lambda at: layout_with(at, _many_layers),
    "is not what its digest says": lambda at: layout_with(at, lambda layout: _replace_blob(layout, 2)),
    "its digest is sha256:": lambda at: layout_with(at, lambda layout: _replace_blob(layout, 0)),
    "101 images, more than 100": lambda at: layout_with(
        at, lambda layout: [layout.image(BASE, name=f"a:{number}") for number in range(100)]
    ),
    "it is not for linux/amd64, but for linux/arm64": lambda at: an_image(at, BASE, name="arm", platform=ARM),
    "a digest that is no SHA-256: '../../../../etc/passwd'": lambda at: layout_with(
        at,
        lambda layout: _text(
            layout, "index.json", json.dumps({"manifests": [{"digest": "../../../../etc/passwd", "size": 1}]})
        ),
    ),
    "leads out of it": lambda at: layout_with(at, lambda layout: _linked_out(layout)),
    "WorkingDir of its config is no path: '../../x'": lambda at: an_image(
        at, BASE, name="a", config={"WorkingDir": "../../x"}
    ),
    "its config has more than 128 Ki characters": lambda at: an_image(
        at, BASE, name="a", config={"Env": ["A=" + "b" * 200_000]}
    ),
    "Cmd of its config is no text": lambda at: an_image(at, BASE, name="a", config={"Cmd": [1]}),
}


def _cut(at: Path) -> Path:
    at.write_bytes(file(b"manifest.json", b"[]") + file(b"x", b"1" * 9000)[:2000])
    return at


def _linked_out(layout: Layout) -> None:
    """The layer is a link to a file of the host's."""
    paths = sorted((layout.root / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    paths[0].unlink()
    paths[0].symlink_to("/etc/passwd")


@pytest.mark.parametrize("words", HOSTILE)
def test_what_is_hostile_is_refused_by_name_and_leaves_nothing(
    store: GuestStore, tmp_path: Path, words: str
) -> None:
    path = HOSTILE[words](tmp_path / "hostile")
    with pytest.raises((ImageError, InvalidRequest)) as caught:
        store.load_images(path, None)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not left(store)
    assert not store.images()


def test_an_archive_that_grows_without_end_stops_before_the_disk_is_full(
    store: GuestStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 MB of zeros in 100 kB, and a disk that has 80 MB."""
    bomb = tmp_path / "bomb.tar.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as packed:
        packed.write(file(b"manifest.json", b"[]"))
        for _ in range(100):
            packed.write(bytes(1 << 20))
    usage = shutil.disk_usage(tmp_path)

    def little(_path: object) -> object:
        return usage._replace(free=80_000_000)

    monkeypatch.setattr(shutil, "disk_usage", little)
    with pytest.raises(
        ImageError, match=r"bomb.tar.gz: it is larger, unpacked, than there is room on the disk"
    ):
        store.load_images(bomb, None)
    assert not left(store)


def test_what_is_not_there_or_no_file(store: GuestStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"cannot read .*nothing: No such file"):
        store.load_images(tmp_path / "nothing", None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequest, match="has no image of docker save or OCI in it"):
        store.load_images(tmp_path / "empty", None)
