"""A host of machines in memory for each test of the fleet, in virtual time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio

from sandtop.core.groups import unwrapped

from . import jumping
from .lab import Lab, build_cache
from .operations import CutOff

Case = Callable[[Lab], Awaitable[None]]
"""A test, on a host that is its own."""
RunCase = Callable[[Case], None]


@pytest.fixture(scope="session")
def in_memory() -> Iterator[Path]:
    """A folder in memory, where there is such a file system: SQLite would wait for a disk thousands of times."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="st-", dir=place) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def shared_cache(in_memory: Path) -> Path:
    """What takes a while to be built and is the same for all: an image and a blank disk."""
    build_cache(in_memory / "cache")
    return in_memory / "cache"


@pytest.fixture
def home(in_memory: Path) -> Iterator[Path]:
    """An empty folder for one test."""
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        yield Path(folder)


@pytest.fixture
def run(home: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> RunCase:
    """Runs a case in virtual time. What its machines do when it is over is not looked at."""

    def run(case: Case) -> None:
        async def main() -> None:
            with unwrapped():
                async with trio.open_nursery() as outside:
                    lab = Lab(home / "home", shared_cache, outside)
                    await case(lab)
                    lab.world.close()

        jumping.run(main, monkeypatch)

    return run


@pytest.fixture
def cut_off(home: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> CutOff:
    monkeypatch.setattr("sandtop.core.fleet.warm_pool.host_memory", lambda: (1 << 20, 1 << 20))
    return CutOff(home, shared_cache, monkeypatch)
