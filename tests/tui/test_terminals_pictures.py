"""Pictures of the list of running terminals, at four sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .picture import picture, pressing, views

if TYPE_CHECKING:
    from .picture import Compare


@pytest.mark.parametrize(("state", "size", "theme"), views(["terminals"]))
def test_terminals(snap_compare: Compare, state: str, size: str, theme: str) -> None:
    assert picture(snap_compare, size, theme, pressing("A"))
