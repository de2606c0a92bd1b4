"""Columns of text: which fit on a line and how wide each is; and text cut or padded to a width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Align = Literal["left", "right"]
OPTIONAL: Final = 9
"""The rank from which on a column gives way to the comfort of others."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list.

    Attributes:
        width: the cells that it takes at least.
        most: the cells that it takes at most, if its texts are that long; 0: always ``width``. For names, which
            seldom change: a column of values would jump.
        share: how much of the room that is left it takes, whatever its texts are, in proportion to the other shares.
        comfort: the cells that it should have before a column is shown whose rank is `OPTIONAL` or more.
        rank: when not all columns fit, the one with the highest rank is left out first.
    """

    key: str
    title: str
    width: int
    most: int = 0
    share: int = 0
    comfort: int = 0
    rank: int = 0
    align: Align = "left"


@dataclass(frozen=True, slots=True)
class Placed:
    """A column that is shown, with its width there."""

    column: Column
    width: int


def place(columns: Sequence[Column], room: int, longest: Mapping[str, int]) -> tuple[Placed, ...]:
    """Which of ``columns`` fit into ``room`` with a space between, and how wide each may be.

    ``longest``: the width of each column's longest text; no column grows beyond that.
    """
    least = {column.key: _least(column, longest) for column in columns}
    shown = list(columns)
    while (
        len(shown) > 1
        and max(column.rank for column in shown) >= OPTIONAL
        and sum(max(least[column.key], column.comfort) + 1 for column in shown) - 1 > room
    ):
        shown.remove(max(shown, key=lambda column: column.rank))
    while len(shown) > 1 and sum(least[column.key] + 1 for column in shown) - 1 > room:
        shown.remove(max(shown, key=lambda column: column.rank))
    widths = {column.key: least[column.key] for column in shown}
    spare = room - (sum(widths.values()) + len(shown) - 1)
    for column in sorted(shown, key=lambda column: column.rank):
        wanted = min(column.most, longest.get(column.key, 0))
        grown = min(max(0, spare), max(0, wanted - widths[column.key]))
        widths[column.key] += grown
        spare -= grown
    sharing = [column for column in shown if column.share]
    left = sum(column.share for column in sharing)
    for column in sharing:
        grown = spare * column.share // left
        widths[column.key] += grown
        spare, left = spare - grown, left - column.share
    return tuple(Placed(column, widths[column.key]) for column in shown)


def _least(column: Column, longest: Mapping[str, int]) -> int:
    if not column.most:
        return column.width
    return min(column.width, max(len(column.title) + 1, longest.get(column.key, 0)))


def with_end(text: str, end: str, width: int) -> str:
    """``text`` and ``end``, or if both do not fit as much of the text as does, and the last word of ``end``."""
    if not end or cell_len(text) + cell_len(end) <= width:
        return text + end
    word = end.rpartition(" ")[2]
    return f"{fit(text, max(0, width - cell_len(word) - 1))} {word}"


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
