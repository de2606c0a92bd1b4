"""What every source of images promises, held to each: a real image comes out, a failure leaves nothing and is named.

A new source gets an entry in `KINDS`; a source without one fails `test_every_source_is_here`.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import pkgutil
import resource
import stat
import subprocess
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

import pytest

from sandtop.core.errors import InvalidRequest, MissingDependency, SandtopError
from sandtop.core.guest import archive, sources
from sandtop.core.guest.image import ImageStore
from sandtop.core.guest.sources import Debian, Layer, Layered, Source, pick
from sandtop.core.guest.sources.folder import Folder
from sandtop.core.guest.sources.tarball import Tarball
from sandtop.core.settings import GUEST_RELEASE

from ..tar.making import END, file, folder, hard_link

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from sandtop.core.guest import GuestStore

NOISE: Final = os.urandom(1 << 20)
"""More than `LITTLE`, compressed or not."""
LITTLE: Final = 256 << 10
"""Bytes that no file may exceed where the making of an image is to fail."""


def make_root(place: Path) -> Path:
    """A small root file system."""
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "sh").write_bytes(NOISE)
    (place / "bin" / "sh").chmod(0o755)
    return place


def make_tar(place: Path) -> Path:
    with tarfile.open(place.with_suffix(".tar"), "w") as tar:
        tar.add(make_root(place), ".")
    return place.with_suffix(".tar")


def write(place: Path, data: bytes) -> Path:
    place.write_bytes(data)
    return place


def make_layers(place: Path) -> Path:
    place.mkdir()
    for name in ("oci-layout", "index.json", "blobs"):
        (place / name).touch()
    return place


def make_empty(place: Path) -> Path:
    place.mkdir()
    return place


def layered(place: Path, *layers: bytes) -> Layered:
    """An image of these layers, the lowest first."""
    made = list[Layer]()
    for number, members in enumerate(layers):
        path = write(place.with_suffix(f".{number}"), members + END)
        digest = f"sha256:{hashlib.sha256(members + END).hexdigest()}"
        made.append(Layer(path, digest, digest))
    return Layered("a container image", made)


def debian(place: Path, release: str = GUEST_RELEASE) -> Source:
    """Of the mirror that this host has."""
    return Debian(archive.at(place, release))


def debian_with_its_lists(place: Path) -> Source:
    found = archive.at(place, GUEST_RELEASE)
    found.refresh(lambda _: None)
    return Debian(found)


@dataclass(frozen=True)
class Kind:
    """One source, for these tests.

    Attributes:
        source: the class.
        make: one that an image can be made from, its files below the path that it is given.
        has: a program that is in the image.
        refused: what it does not take, as far as the words that name what is wrong; made in the same way.
        begun: as ``make``, and all that is fetched first is there, so that what fails is the image's own making.
        needs: the program without which it cannot do, for its error's first words; empty when it runs none.
    """

    source: type
    make: Callable[[Path], Source]
    has: str
    refused: Mapping[str, Callable[[Path], Source]]
    begun: Callable[[Path], Source] | None = None
    needs: str = "mksquashfs"


KINDS: Final = {
    "folder": Kind(
        Folder,
        lambda place: pick(make_root(place)),
        "bin/sh",
        {
            "{place} is empty": lambda place: pick(make_empty(place)),
            "{place} is an OCI image layout": lambda place: pick(make_layers(place)),
        },
    ),
    "tarball": Kind(
        Tarball,
        lambda place: pick(make_tar(place)),
        "bin/sh",
        {
            "{place} is empty": lambda place: pick(write(place, folder(b"./") + END)),
            "{place} is not a tar file": lambda place: pick(write(place, b"text")),
            "{place} is an OCI image layout": lambda place: pick(
                write(place, b"".join(map(file, (b"oci-layout", b"index.json", b"blobs/x"))) + END)
            ),
            "{place}: 'up/../../out': a name with '..' in it": lambda place: pick(
                write(place, file(b"up/../../out") + END)
            ),
            "{place}: 'sh': a hard link to 'nowhere'": lambda place: pick(
                write(place, file(b"big", NOISE) + hard_link(b"sh", b"nowhere") + END)
            ),
        },
    ),
    "layered": Kind(
        Layered,
        lambda place: layered(place, file(b"bin/tool", b"1"), file(b"bin/tool", NOISE, mode=0o755)),
        "bin/tool",
        {
            "layer 1 of 1, sha256:": lambda place: layered(place, file(b"up/../../out")),
            "there is no file in any of its layers": lambda place: layered(place, b""),
        },
    ),
    "debian": Kind(
        Debian,
        debian,
        "usr/bin/python3",
        {"Debian nonsense": lambda place: debian(place, "nonsense")},
        begun=debian_with_its_lists,
        needs="apt-",
    ),
}
EACH: Final = [
    pytest.param(
        kind, id=name, marks=[pytest.mark.slow, pytest.mark.timeout(600)] if name == "debian" else ()
    )
    for name, kind in KINDS.items()
]
REFUSED: Final = [
    pytest.param(kind, words, id=f"{name}-{words}", marks=pytest.mark.slow if name == "debian" else ())
    for name, kind in KINDS.items()
    for words in kind.refused
]


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


def files_of(store: ImageStore) -> list[str]:
    """All that is left below the store."""
    return sorted(path.relative_to(store.root).as_posix() for path in store.root.rglob("*"))


def test_every_source_is_here() -> None:
    """A class of the package that can describe itself and write is a source."""
    modules = [
        import_module(f"{sources.__name__}.{found.name}") for found in pkgutil.iter_modules(sources.__path__)
    ]
    classes = {
        found
        for module in modules
        for _, found in inspect.getmembers(module, inspect.isclass)
        if found.__module__ == module.__name__ and hasattr(found, "write") and hasattr(found, "description")
    }
    assert classes == {kind.source for kind in KINDS.values()}


def has_program(image: Path, name: str, out: Path) -> bool:
    """Whether ``name`` can be run, or is a link to what can."""
    subprocess.run(["unsquashfs", "-q", "-n", "-d", out, image, name], check=True, timeout=60)
    mode = (out / name).lstat().st_mode
    return stat.S_ISLNK(mode) or bool(mode & 0o111)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=name) for name, kind in KINDS.items() if name != "debian"]
)
def test_a_real_image_comes_out_and_is_listed_with_its_description(
    kind: Kind, store: ImageStore, tmp_path: Path
) -> None:
    source = kind.make(tmp_path / "source")
    assert isinstance(source, kind.source)
    said: list[str] = []
    image = store.add("mine", source, said.append)
    assert store.list() == [image]
    assert image.source == source.description
    assert len(image.source.splitlines()) == 1
    assert store.check(image.digest) == image.path
    assert files_of(store) == [".lock", image.path.name, "names", "names/mine.json"]
    assert said[0] == f"image mine: building from {source.description}"
    assert all(line.startswith("image mine: ") for line in said)
    assert has_program(image.path, kind.has, tmp_path / "out")


def test_the_base_image_came_out_of_debians_packages(guest_store: GuestStore, tmp_path: Path) -> None:
    """The one that set-up has made: another would take a minute."""
    kind = KINDS["debian"]
    image = guest_store.image("base")
    assert image.source == debian(guest_store.paths.cache).description
    assert image in guest_store.images()
    assert has_program(image.path, kind.has, tmp_path / "out")


@pytest.mark.parametrize("kind", EACH)
def test_a_failure_in_the_middle_leaves_nothing_but_what_was_there(
    kind: Kind, store: ImageStore, tmp_path: Path
) -> None:
    """A disk that is too small, as far as a program can tell: each file of the image's making may be `LITTLE`."""
    before = store.add("mine", pick(make_root(tmp_path / "first")), lambda _: None)
    left = files_of(store)
    source = (kind.begun or kind.make)(tmp_path / "source")
    with no_file_larger_than(LITTLE), pytest.raises(SandtopError):
        store.add("mine", source, lambda _: None)
    assert store.get("mine") == before
    assert files_of(store) == left


@pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in KINDS.items() if kind.needs])
def test_a_program_that_is_not_installed_is_named(
    kind: Kind, store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = kind.make(tmp_path / "source")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rm").symlink_to("/bin/rm")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(MissingDependency, match=f"^{kind.needs}.* is not installed .*install"):
        store.add("mine", source, lambda _: None)
    assert files_of(store) == [".lock"]


@pytest.mark.parametrize(("kind", "words"), REFUSED)
def test_what_is_refused_is_named(kind: Kind, words: str, store: ImageStore, tmp_path: Path) -> None:
    place = tmp_path / "source"
    with pytest.raises(SandtopError) as caught:
        store.add("mine", kind.refused[words](place), lambda _: None)
    assert words.format(place=place) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not store.root.exists() or files_of(store) == [".lock"]


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    place = make_root(tmp_path / "source")
    place.chmod(0)
    with nobody(), pytest.raises(InvalidRequest, match=f"cannot read {place}: Permission denied"):
        pick(place)
    file = tmp_path / "root.tar"
    file.touch(mode=0)
    with nobody(), pytest.raises(InvalidRequest, match=f"cannot read {file}: Permission denied"):
        pick(file)
    with pytest.raises(InvalidRequest, match=f"{tmp_path}/nothing is not there"):
        pick(tmp_path / "nothing")


@contextmanager
def nobody() -> Generator[None]:
    """As a user who is not root: permissions bind that one."""
    us = os.geteuid()
    os.seteuid(us or 65534)
    try:
        yield
    finally:
        os.seteuid(us)


@contextmanager
def no_file_larger_than(size: int) -> Generator[None]:
    """For the programs that are started meanwhile, and for us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
