"""A list of hundreds of rows costs what is seen of it, and keys go before the core's long answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, sandbox
from textual.app import App

from sandtop.tui.polling import Polling
from sandtop.tui.store import Store
from sandtop.tui.theme import DARK
from sandtop.tui.widgets.cells import Column
from sandtop.tui.widgets.row_list import RowList
from sandtop.tui.widgets.row_view import Cell, Row

if TYPE_CHECKING:
    from textual.app import ComposeResult

pytestmark = pytest.mark.anyio
COLUMNS = (Column("name", "NAME", 8, most=20), Column("value", "VALUE", 8))


class List(App[None]):
    """A list of ``count`` rows; ``made`` has those of which more than the name was asked for."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_theme(DARK.theme)
        self.theme = DARK.theme.name
        self.count = count
        self.made: set[str] = set()

    def compose(self) -> ComposeResult:
        yield RowList(COLUMNS)

    def show(self, value: str) -> None:
        self.query_one(RowList).show([self._row(f"row-{number}", value) for number in range(self.count)])

    def _row(self, name: str, value: str) -> Row:
        def rest() -> dict[str, Cell]:
            self.made.add(name)
            return {"value": Cell(value)}

        return Row(name, {"name": Cell(name)}, rest)


async def test_rows_out_of_view_are_not_made() -> None:
    app = List(300)
    async with app.run_test(size=(60, 11)) as pilot:
        for value in ("one", "two"):
            app.show(value)
            await pilot.pause()
            assert app.made == {f"row-{number}" for number in range(10)}
            app.made.clear()
        rows = app.query_one(RowList)
        assert "two" in rows.render_line(1).text
        rows.select("row-299")
        await pilot.pause()
        assert app.made == {f"row-{number}" for number in range(290, 300)}
        assert "row-299" in rows.render_line(10).text


async def test_a_changed_row_is_drawn_anew_wherever_the_list_was_scrolled_to() -> None:
    app = List(300)
    async with app.run_test(size=(60, 11)) as pilot:
        app.show("one")
        app.query_one(RowList).select("row-299")
        await pilot.pause()
        app.show("two")
        await pilot.pause()
        shown = "\n".join(strip.text for strip in app.screen._compositor.render_strips())  # pyright: ignore[reportPrivateUsage]
        assert shown.count("two") == 10
        assert "one" not in shown


async def test_a_key_is_answered_before_the_answer_is_taken_in_and_before_it_is_shown() -> None:
    store, steps = Store(), list[tuple[str, int]]()
    shown = asyncio.Event()

    async def give_way() -> None:
        steps.append(("give way", store.view.version))

    def answered() -> None:
        steps.append(("show", store.view.version))
        shown.set()

    with FakeCore(sandbox("box")):
        polling = asyncio.ensure_future(Polling(store, lambda: NOW, 1000.0, answered, give_way).run())
        async with asyncio.timeout(10):
            await shown.wait()
        polling.cancel()
    assert steps == [("give way", 0), ("give way", 1), ("show", 1)]
