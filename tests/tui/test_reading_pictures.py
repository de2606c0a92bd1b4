"""Pictures of what one reads and answers, at 80×24 and 200×50, dark and light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .picture import picture, pressing, views

if TYPE_CHECKING:
    from .picture import Compare

READING: dict[str, tuple[str, ...]] = {
    "help": ("question_mark",), "palette": ("colon",), "command": ("j", "x"),
}  # fmt: skip


@pytest.mark.parametrize(("state", "size", "theme"), views(READING))
def test_reading(snap_compare: Compare, state: str, size: str, theme: str) -> None:
    assert picture(snap_compare, size, theme, pressing(*READING[state]))
