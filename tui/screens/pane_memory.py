"""Panes that are there again when the console opens: how they were arranged, and making them anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.tui import tiles
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.terminal_pane import TerminalPane

from .pane_layout import PaneLayout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandtop.tui.store import FleetView
    from sandtop.tui.widgets.pane import Pane


def arrangement(panes: Mapping[str, Pane], layout: PaneLayout) -> tuple[tiles.Tree | None, str | None]:
    """How ``panes`` share the screen, and which of them is zoomed: each named by the session that it shows."""
    sessions = {key: pane.info.id for key, pane in panes.items() if pane.info is not None}
    return tiles.mapped(layout.tree, sessions.get), sessions.get(layout.zoomed or "")


def reopened(
    tree: tiles.Tree,
    zoomed: str | None,
    view: FleetView,
    new_key: Callable[[], str],
    clock: Callable[[], float],
) -> tuple[dict[str, Pane], PaneLayout]:
    """The panes of ``tree``, which an `arrangement` was before, made anew, and their layout.

    Those of sessions that ``view`` does not know any more are left out. Nobody types in the terminals until they are
    attached to.
    """
    panes: dict[str, Pane] = {}
    opened: dict[str, str] = {}

    def open_one(session: str) -> str | None:
        if (found := view.session(session)) is None:
            return None
        (sandbox, shown), key = found, new_key()
        if shown.info.tty:
            panes[key] = TerminalPane(key, sandbox.uuid, sandbox.name, shown.info, typing=False)
        else:
            panes[key] = LogPane(key, sandbox.uuid, sandbox.name, shown.info, clock)
        opened[session] = key
        return key

    layout = PaneLayout()
    layout.arrange(tiles.mapped(tree, open_one), opened.get(zoomed or ""))
    return panes, layout
