"""Columns of text: how wide each is, and text made to fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Align = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Column:
    """``width`` is the least it takes, ``most`` the most; of what does not fit the highest ``rank`` goes first."""

    key: str
    title: str
    width: int
    most: int = 0
    rank: int = 0
    align: Align = "left"


@dataclass(frozen=True, slots=True)
class Placed:
    """A column with the width that it has got."""

    column: Column
    width: int


def place(columns: Sequence[Column], room: int, longest: Mapping[str, int]) -> tuple[Placed, ...]:
    """Which of ``columns`` fit into ``room`` with a space between, and how wide each may be.

    ``longest``: how wide the texts of a column are at most; one that may grow takes no more than that.
    """
    least = {column.key: _least(column, longest) for column in columns}
    shown = list(columns)
    while len(shown) > 1 and sum(least[column.key] + 1 for column in shown) - 1 > room:
        shown.remove(max(shown, key=lambda column: column.rank))
    widths = {column.key: least[column.key] for column in shown}
    spare = room - (sum(widths.values()) + len(shown) - 1)
    for column in sorted(shown, key=lambda column: column.rank):
        wanted = min(column.most, longest.get(column.key, 0))
        grown = min(max(0, spare), max(0, wanted - widths[column.key]))
        widths[column.key] += grown
        spare -= grown
    return tuple(Placed(column, widths[column.key]) for column in shown)


def _least(column: Column, longest: Mapping[str, int]) -> int:
    if not column.most:
        return column.width
    return min(column.width, max(len(column.title) + 1, longest.get(column.key, 0)))


def fit(text: str, width: int, align: Align = "left") -> str:
    """``text`` in just ``width`` cells, with … where it was cut."""
    if text.isascii():
        if len(text) > width:
            return text[: max(0, width - 1)] + "…"[:width]
        return text.rjust(width) if align == "right" else text.ljust(width)
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(0, width - 1)) + "…"[:width]
    return " " * (width - length) + text if align == "right" else text + " " * (width - length)
