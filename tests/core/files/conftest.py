"""A core for the files of one sandbox, and what clients have of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop import Sandbox

from .desk import NAME, desk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandtop import Files

    from .desk import Desk


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("f")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDTOP_HOME", os.fspath(folder / "home"))
        with desk(folder, os.fspath(folder / "work")) as one:
            yield one


@pytest.fixture
def work(shared: Desk) -> Path:
    """The sandbox's workdir, empty."""
    folder = Path(shared.workdir)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


@pytest.fixture
def files(work: Path) -> Files:
    return Sandbox.at(NAME).files
