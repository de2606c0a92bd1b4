"""The limit of open files: as many as are wanted, and never more than the host allows."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from sandtop.core import open_files

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def hard() -> Iterator[int]:
    """The hard limit of this process, whose soft one comes back."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield limits[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_the_soft_limit_becomes_what_is_wanted_and_the_hard_one_stays(hard: int) -> None:
    for wanted in (512, 600):  # to lower it, and to raise it
        assert open_files.limit(wanted) == wanted
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, hard)


def test_more_than_the_hard_limit_is_the_hard_limit(hard: int) -> None:
    assert open_files.limit(hard + 1) == open_files.possible(hard + 1) == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
