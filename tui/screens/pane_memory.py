"""Panes that are there again when the console opens: how they were arranged, and making them anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.tui import tiles
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.merged_pane import MergedPane
from sandtop.tui.widgets.terminal_pane import TerminalPane

from .pane_layout import PaneLayout
from .pane_names import logs_of, sandboxes_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandtop.tui.store import FleetView
    from sandtop.tui.widgets.pane import Pane


def arrangement(panes: Mapping[str, Pane], layout: PaneLayout) -> tuple[tiles.Tree | None, str | None]:
    """How ``panes`` share the screen, and which of them is zoomed: each named by what it shows (see `pane_names`)."""
    shown = {key: name for key, pane in panes.items() if (name := _name_of(pane)) is not None}
    return tiles.mapped(layout.tree, shown.get), shown.get(layout.zoomed or "")


def _name_of(pane: Pane) -> str | None:
    if isinstance(pane, MergedPane):
        return logs_of(pane.names)
    return pane.info.id if pane.info is not None else None


def reopened(
    tree: tiles.Tree,
    zoomed: str | None,
    view: FleetView,
    new_key: Callable[[], str],
    clock: Callable[[], float],
) -> tuple[dict[str, Pane], PaneLayout]:
    """The panes of ``tree``, which an `arrangement` was before, made anew, and their layout.

    What ``view`` does not know any more is left out. Nobody types in the terminals until they are attached to.
    """
    panes: dict[str, Pane] = {}
    opened: dict[str, str] = {}

    def open_one(name: str) -> str | None:
        key = new_key()
        if names := sandboxes_in(name, view):
            panes[key] = MergedPane(key, names, clock)
        elif (found := view.session(name)) is None:
            return None
        elif found[1].info.tty:
            panes[key] = TerminalPane(key, found[0].uuid, found[0].name, found[1].info, typing=False)
        else:
            panes[key] = LogPane(key, found[0].uuid, found[0].name, found[1].info, clock)
        opened[name] = key
        return key

    layout = PaneLayout()
    layout.arrange(tiles.mapped(tree, open_one), opened.get(zoomed or ""))
    return panes, layout
