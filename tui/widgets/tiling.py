"""The container of the panes: places each by a tree of splits (`sandtop.tui.tiles`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.geometry import NULL_OFFSET, Region, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

from sandtop.tui.tiles import Box, Tree, boxes

if TYPE_CHECKING:
    from textual.app import RenderResult


class _TileLayout(Layout):
    """Puts each child into the rectangle that the tree gives to its id; one that is not in the tree is not shown."""

    name = "tiles"

    def __init__(self) -> None:
        self.tree: Tree | None = None
        self.zoomed: str | None = None

    def places(self, size: Size) -> dict[str, Box]:
        room = Box(0, 0, size.width, size.height)
        return {self.zoomed: room} if self.zoomed is not None else boxes(self.tree, room)

    def arrange(
        self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True
    ) -> ArrangeResult:
        places = self.places(size)
        return [
            WidgetPlacement(Region(box.x, box.y, box.width, box.height), NULL_OFFSET, Spacing(), child)
            for child in children
            if (box := places.get(child.id or "")) is not None
        ]


class Tiling(Widget):
    """A container. In the tree its children are named by their ids."""

    DEFAULT_CSS = """
    Tiling { height: 1fr; width: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._tiles = _TileLayout()

    @property
    def layout(self) -> Layout:
        return self._tiles

    def render(self) -> RenderResult:
        return ""

    def lay_out(self, tree: Tree | None, zoomed: str | None) -> None:
        """Place the children by ``tree``, or give the child ``zoomed`` all the room."""
        self._tiles.tree, self._tiles.zoomed = tree, zoomed
        self._clear_arrangement_cache()
        self.refresh(layout=True)

    @property
    def places(self) -> dict[str, Box]:
        """The rectangle of each pane when none is zoomed."""
        return boxes(self._tiles.tree, Box(0, 0, self.size.width, self.size.height))
