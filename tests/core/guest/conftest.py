"""The kernel, runtime and base image that set-up built, shared by all tests here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop.core import paths
from sandtop.core.guest import GuestStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.core.paths import Paths

    MakePaths = Callable[[], Paths]

STANDIN = Path(__file__).with_name("standin")


@pytest.fixture(scope="session")
def guest_store() -> GuestStore:
    """The store of this machine's user, with all in it that a first sandbox needs."""
    store = GuestStore(paths.find())
    store.prepare()
    return store


@pytest.fixture(scope="session")
def standin_store(guest_store: GuestStore, tmp_path_factory: pytest.TempPathFactory) -> GuestStore:
    """A store with the same kernel, foundation and images, whose runtime has the stand-in for an agent."""
    cache = tmp_path_factory.mktemp("standin")
    for name in ("kernels", "foundations", "images"):
        (cache / name).symlink_to(guest_store.paths.cache / name)
    return GuestStore(replace(guest_store.paths, cache=cache), agent=STANDIN)


@pytest.fixture
def empty_paths(tmp_path: Path) -> Paths:
    """Paths to an installation where nothing has been built."""
    return paths.Paths(
        data=tmp_path / "data", cache=tmp_path / "cache", config=tmp_path / "config", runtime=tmp_path / "run"
    )
