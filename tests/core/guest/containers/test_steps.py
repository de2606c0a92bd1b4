"""Layers that sandboxes made: what is kept of them, what images are made of them, and what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import ImageError, InvalidRequest, NotFound
from sandtop.core.guest import ContainerConfig, GuestStore, Stack

from ...tar.making import END, file, folder, link
from .trees import tree_of, unsquashed

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.guest import Descriptor
    from sandtop.core.paths import Paths

KEY, OTHER = "a" * 64, "b" * 64
LOWER = folder(b"d/") + file(b"d/a", b"1") + file(b"gone")
UPPER = file(b"d/a", b"2") + file(b".wh.gone")


@pytest.fixture
def store(empty_paths: Paths) -> GuestStore:
    return GuestStore(empty_paths)


def kept(store: GuestStore, tar: bytes) -> Descriptor:
    """A layer, as it comes piece by piece."""
    with store.new_layers() as opener, opener() as fresh:
        for at in range(0, len(tar), 100):
            fresh.write(tar[at : at + 100])
        return fresh.keep()


def stacked(store: GuestStore, *tars: bytes) -> Stack:
    stack = Stack()
    for tar in tars:
        stack = stack.with_tar(kept(store, tar + END))
    return stack


def test_layers_become_an_image_with_its_configuration(store: GuestStore, tmp_path: Path) -> None:
    config = ContainerConfig(env={"A": "1"}, workdir="/srv/made", cmd=("run",), ports=("80/tcp",))
    image = store.assemble("mine", stacked(store, LOWER, UPPER), config, "the sandbox box")
    out = unsquashed(image.path, tmp_path / "out")
    assert {name for name in tree_of(out)} == {"d", "d/a", "srv", "srv/made"}
    assert (out / "d/a").read_bytes() == b"2"
    again = store.image("mine")
    assert again.source == "the sandbox box"
    assert again.container is not None
    assert (again.container.config, len(again.container.layers)) == (config, 2)
    assert store.stack_of("other", image.digest) == again.container.stack
    assert store.stack_of("mine", "0" * 64) is None
    # another command alone needs no other file
    other = store.assemble("other", again.container.stack, ContainerConfig(workdir="/srv/made"), "a step")
    assert other.digest == image.digest
    assert other.container is not None
    assert other.container.id != again.container.id


def test_of_nothing_there_is_a_folder(store: GuestStore, tmp_path: Path) -> None:
    image = store.assemble("empty", Stack(), ContainerConfig(), "a Dockerfile, FROM scratch")
    assert {name for name in tree_of(unsquashed(image.path, tmp_path / "out"))} == {"tmp"}


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (file(b"../x"), "a name with '..'"),
        (link(b"l", b"/etc") + file(b"l/../../x"), "a name with '..'"),
        (file(b"x", b"1")[:700], "ends in the middle"),
        (b"no tar" * 200, "not a tar archive"),
    ],
)
def test_what_a_sandbox_sends_is_read_as_what_a_registry_sends(
    store: GuestStore, layer: bytes, said: str
) -> None:
    stack = Stack((), ()).with_tar(kept(store, LOWER + END)).with_tar(kept(store, layer))
    with pytest.raises(ImageError, match=r"layer 2 of 2, sha256:\w+: .*" + said):
        store.assemble("mine", stack, ContainerConfig(), "the sandbox box")
    with pytest.raises(NotFound):
        store.image("mine")


def test_a_configuration_that_cannot_be(store: GuestStore) -> None:
    with pytest.raises(ImageError, match="WorkingDir"):
        store.assemble("mine", stacked(store, LOWER), ContainerConfig(workdir="/a/../.."), "the sandbox box")
    for name in ("No Name", "a/B:1", ""):
        with pytest.raises(InvalidRequest):
            store.new_name(name)


def test_steps_are_kept_with_their_layers_until_nobody_wants_them(store: GuestStore) -> None:
    steps = store.steps
    assert steps.find(KEY) is None
    with pytest.raises(NotFound, match="build again"):
        steps.get(KEY)
    stack = stacked(store, LOWER, UPPER)
    steps.keep(KEY, stack)
    assert (steps.get(KEY), steps.find(OTHER)) == (stack, None)
    path = store.paths.layers / "steps" / f"{KEY}.json"
    os.utime(path, (1, 1))
    assert steps.find(KEY) == stack
    store.prune_images(lambda: [])
    assert steps.find(KEY) == stack, "it was used a moment ago"
    assert store.free(lambda: []) == sum(layer.size for layer in stack.layers)
    assert steps.find(KEY) is None
    assert not any((store.paths.layers / "blobs/sha256").iterdir())


def test_a_step_without_its_layers_is_none(store: GuestStore) -> None:
    stack = stacked(store, LOWER)
    store.steps.keep(KEY, stack)
    (store.paths.layers / "blobs" / stack.layers[0].digest.replace(":", "/")).unlink()
    assert store.steps.find(KEY) is None
    (store.paths.layers / "steps" / f"{OTHER}.json").write_text("{")
    assert store.steps.find(OTHER) is None
