"""A host of machines in memory for each test of the fleet, in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.groups import unwrapped

from . import jumping
from .lab import Lab, build_cache

if TYPE_CHECKING:
    from pathlib import Path

Case = Callable[[Lab], Awaitable[None]]
"""A test, on a host that is its own."""
RunCase = Callable[[Case], None]


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What takes a while to be built and is the same for all: an image and a blank disk."""
    cache = tmp_path_factory.mktemp("fleet") / "cache"
    build_cache(cache)
    return cache


@pytest.fixture
def run(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> RunCase:
    """Runs a case in virtual time. What its machines do when it is over is not looked at."""

    def run(case: Case) -> None:
        async def main() -> None:
            with unwrapped():
                async with trio.open_nursery() as outside:
                    lab = Lab(tmp_path / "home", shared_cache, outside)
                    await case(lab)
                    lab.world.close()

        jumping.run(main, monkeypatch)

    return run
