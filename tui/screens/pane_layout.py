"""Which pane is where, which one fills the screen, and which one has the keyboard: plain values, no widgets."""

from __future__ import annotations

from sandtop.tui import tiles


class PaneLayout:
    """The panes by their keys.

    Attributes:
        tree: how they share the screen; None while there are none.
        zoomed: the pane that has the screen for itself, or None.
        current: the pane that has the keyboard, or had it last; None while there are none.
    """

    def __init__(self) -> None:
        self.tree: tiles.Tree | None = None
        self.zoomed: str | None = None
        self.current: str | None = None

    @property
    def order(self) -> list[str]:
        """All panes, in reading order."""
        return tiles.leaves(self.tree)

    def arrange(self, tree: tiles.Tree | None, zoomed: str | None) -> None:
        """Have the panes of ``tree`` in place of all others; the first one becomes the current one."""
        self.tree = tree
        self.current = next(iter(self.order), None)
        self.zoomed = zoomed if zoomed in self.order else None
        if self.zoomed is not None:
            self.current = self.zoomed

    def insert(self, key: str, *, stacked: bool, behind: bool) -> None:
        """Put pane ``key`` beside the current one, or with ``stacked`` below it.

        It becomes the current one, unless it opens ``behind`` the others.
        """
        self.tree = tiles.insert(self.tree, self.current or "", key, stacked=stacked)
        if not behind or self.current is None:
            self.current = key
            self.zoomed = None

    def remove(self, key: str) -> None:
        """Take pane ``key`` away: its neighbour gets the room, and the keyboard goes to the one behind it."""
        at = self.order.index(key)
        self.tree = tiles.remove(self.tree, key)
        if self.zoomed == key:
            self.zoomed = None
        left = self.order
        self.current = left[min(at, len(left) - 1)] if left else None

    def go_to(self, key: str) -> None:
        """Make pane ``key`` the current one; when one is zoomed, it is ``key`` now."""
        self.current = key
        if self.zoomed is not None:
            self.zoomed = key

    def step(self, count: int) -> str | None:
        """The pane so many after the current one, in reading order and around."""
        order = self.order
        return order[(order.index(self.current) + count) % len(order)] if self.current in order else None

    def toggle_zoom(self) -> None:
        """Give the current pane the whole screen, or give the others their room back."""
        self.zoomed = None if self.zoomed is not None else self.current

    def resize(self, steps: int) -> None:
        """Make the current pane larger, or smaller when ``steps`` is negative."""
        if self.tree is not None and self.current is not None:
            self.tree = tiles.resized(self.tree, self.current, steps)

    def even(self) -> None:
        """Give all panes the same room, as far as the splits allow."""
        if self.tree is not None:
            self.tree = tiles.even(self.tree)
