"""Cores for the client's tests: the fake one, and the real one on a real machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandtop.core import paths

from .fakecore import FakeCore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The SDK works the same under both."""
    backend: str = request.param
    return backend


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SANDTOP_HOME of its own, where nothing runs."""
    monkeypatch.setenv("SANDTOP_HOME", os.fspath(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def fake(home: Path) -> Iterator[FakeCore]:
    """A fake core that listens."""
    found = paths.find()
    paths.ensure_private(found.runtime)
    core = FakeCore(found.core_socket, home)
    core.listen()
    yield core
    core.stop()
    found.core_socket.unlink()
    found.runtime.rmdir()
