"""Columns: which are shown, how wide, and that no value makes one jump."""

from __future__ import annotations

import pytest

from sandtop.tui.screens import fleet_rows, sandbox, terminals
from sandtop.tui.widgets.cells import Column, place, with_end

LISTS = {"fleet": fleet_rows.COLUMNS, "sandbox": sandbox.COLUMNS, "terminals": terminals.COLUMNS}
NAMES = {"name", "sandbox", "image", "labels", "holder"}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("room", [57, 77, 112, 117, 197])
def test_no_value_makes_a_column_jump(name: str, room: int) -> None:
    columns = LISTS[name]
    names = dict.fromkeys(NAMES, 10)
    short = {column.key: 1 for column in columns} | names
    long = {column.key: 90 for column in columns} | names
    assert place(columns, room, short) == place(columns, room, long)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("room", [57, 77, 112, 117, 197])
def test_columns_fit_and_fill_the_room(name: str, room: int) -> None:
    placed = place(LISTS[name], room, {})
    assert sum(one.width + 1 for one in placed) - 1 == room
    assert LISTS[name][0] in [one.column for one in placed] or name == "sandbox"


def test_what_is_left_out_first_and_what_has_its_comfort_before() -> None:
    columns = (
        Column("a", "A", 10, rank=0), Column("b", "B", 10, share=1, comfort=20, rank=1), Column("c", "C", 10, rank=9),
    )  # fmt: skip
    assert [(one.column.key, one.width) for one in place(columns, 50, {})] == [
        ("a", 10),
        ("b", 28),
        ("c", 10),
    ]
    assert [(one.column.key, one.width) for one in place(columns, 41, {})] == [("a", 10), ("b", 30)]
    assert [(one.column.key, one.width) for one in place(columns, 15, {})] == [("a", 10)]


@pytest.mark.parametrize(
    ("width", "shown"), [(14, "boom · 2m"), (9, "boom · 2m"), (8, "boom  2m"), (6, "bo… 2m"), (3, " 2m")]
)
def test_the_end_of_a_cell_stays(width: int, shown: str) -> None:
    assert with_end("boom", " · 2m", width).rstrip() == shown
    assert with_end("boom", "", width) == "boom"
