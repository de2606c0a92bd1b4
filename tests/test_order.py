"""The order of the tests: see tests/conftest.py."""

from __future__ import annotations

from pathlib import Path

from .conftest import LONG


def test_the_files_that_go_first_are_there() -> None:
    checkout = Path(__file__).parents[1]
    assert [name for name in LONG if not (checkout / name).is_file()] == []
    assert len(set(LONG)) == len(LONG)
