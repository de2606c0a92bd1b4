"""How panes share a screen: a tree of splits, as plain values. Widgets are named in it by key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Direction = Literal["left", "right", "up", "down"]
_STEP = 0.05
"""How much of a split one step of resizing moves."""
_LEAST = 0.15
"""The least share that resizing leaves to either side."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of cells."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """One pane."""

    key: str


@dataclass(frozen=True, slots=True)
class Split:
    """Two trees, side by side or with ``stacked`` one above the other; the first has ``share`` of the room."""

    stacked: bool
    first: Tree
    second: Tree
    share: float = 0.5


Tree = Leaf | Split


def leaves(tree: Tree | None) -> list[str]:
    """The panes, in reading order."""
    if tree is None:
        return []
    return [tree.key] if isinstance(tree, Leaf) else leaves(tree.first) + leaves(tree.second)


def mapped(tree: Tree | None, change: Callable[[str], str | None]) -> Tree | None:
    """``tree`` with another key for each pane; one for which ``change`` has None is left out."""
    if tree is None:
        return None
    if isinstance(tree, Leaf):
        key = change(tree.key)
        return None if key is None else Leaf(key)
    first, second = mapped(tree.first, change), mapped(tree.second, change)
    if first is None or second is None:
        return first or second
    return replace(tree, first=first, second=second)


def insert(tree: Tree | None, beside: str, key: str, *, stacked: bool) -> Tree:
    """``tree`` with pane ``key`` after pane ``beside``, which gives up half of its room."""
    if tree is None:
        return Leaf(key)
    if isinstance(tree, Leaf):
        return Split(stacked, tree, Leaf(key)) if tree.key == beside else tree
    return replace(
        tree,
        first=insert(tree.first, beside, key, stacked=stacked),
        second=insert(tree.second, beside, key, stacked=stacked),
    )


def remove(tree: Tree | None, key: str) -> Tree | None:
    """``tree`` without pane ``key``; its neighbour takes the room."""
    if tree is None or isinstance(tree, Leaf):
        return None if tree is None or tree.key == key else tree
    first, second = remove(tree.first, key), remove(tree.second, key)
    if first is None or second is None:
        return first or second
    return replace(tree, first=first, second=second)


def resized(tree: Tree, key: str, steps: int) -> Tree:
    """``tree`` with pane ``key`` larger or smaller in the innermost split that it is in."""
    if isinstance(tree, Leaf):
        return tree
    in_first = key in leaves(tree.first)
    inner = tree.first if in_first else tree.second
    if isinstance(inner, Leaf):
        if inner.key != key:
            return tree
        share = tree.share + _STEP * (steps if in_first else -steps)
        return replace(tree, share=min(1 - _LEAST, max(_LEAST, share)))
    changed = resized(inner, key, steps)
    return replace(tree, first=changed) if in_first else replace(tree, second=changed)


def even(tree: Tree) -> Tree:
    """``tree`` with the same room for every pane, as far as its splits allow."""
    if isinstance(tree, Leaf):
        return tree
    share = len(leaves(tree.first)) / len(leaves(tree))
    return replace(tree, first=even(tree.first), second=even(tree.second), share=share)


def boxes(tree: Tree | None, room: Box) -> dict[str, Box]:
    """The rectangle of each pane, when ``tree`` fills ``room``."""
    if tree is None:
        return {}
    if isinstance(tree, Leaf):
        return {tree.key: room}
    if tree.stacked:
        height = _part(room.height, tree.share)
        first = Box(room.x, room.y, room.width, height)
        second = Box(room.x, room.y + height, room.width, room.height - height)
    else:
        width = _part(room.width, tree.share)
        first = Box(room.x, room.y, width, room.height)
        second = Box(room.x + width, room.y, room.width - width, room.height)
    return boxes(tree.first, first) | boxes(tree.second, second)


def _part(whole: int, share: float) -> int:
    """``share`` of ``whole``, rounded so that both parts get at least one cell if there are two."""
    return max(min(1, whole), min(whole - 1, round(whole * share)))


def neighbour(places: dict[str, Box], key: str, way: Direction) -> str | None:
    """The pane that is nearest to pane ``key`` in the direction ``way``, or None."""
    here = places[key]
    best: tuple[tuple[int, int], str] | None = None
    for other, box in places.items():
        apart = {
            "left": here.x - (box.x + box.width),
            "right": box.x - (here.x + here.width),
            "up": here.y - (box.y + box.height),
            "down": box.y - (here.y + here.height),
        }[way]
        if other == key or apart < 0:
            continue
        if way in ("left", "right"):
            shift = abs(box.y + box.height // 2 - here.y - here.height // 2)
        else:
            shift = abs(box.x + box.width // 2 - here.x - here.width // 2)
        if best is None or (apart, shift) < best[0]:
            best = ((apart, shift), other)
    return best[1] if best else None
