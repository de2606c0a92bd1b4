"""What the console remembers when it is left: its theme, how the list was shown, and which panes were open."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.paths import private
from sandtop.tui.theme import THEMES, ThemeName
from sandtop.tui.tiles import Leaf, Split, leaves

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.tui.tiles import Tree

NAME: Final = "console.json"
"""The file, in the directory of data."""
_MAX_BYTES: Final = 1 << 18
_MAX_PANES: Final = 16
_MAX_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class Remembered:
    """All of it.

    Attributes:
        theme: the colours.
        sort: the column that the list is sorted by, and whether the other way round.
        filter: what the list is filtered by.
        marks: the uuids of the marked sandboxes.
        panes: how the panes share the screen: a tree of splits, its leaves what they show, by the names that
            `sandtop.tui.screens.pane_names` gives: a session's id, or the logs of sandboxes.
        zoomed: what shows in the pane that has the screen for itself, or None.
    """

    theme: ThemeName = "dark"
    sort: tuple[str, bool] = ("need", False)
    filter: str = ""
    marks: tuple[str, ...] = ()
    panes: Tree | None = None
    zoomed: str | None = None


def read(path: Path) -> tuple[Remembered, float]:
    """What is remembered at ``path``, and when it was written, in seconds since the epoch.

    A file that is not there, or that nobody can make sense of, is as if nothing were remembered, since the beginning.
    """
    try:
        with path.open("rb") as file:
            text, at = file.read(_MAX_BYTES + 1), os.fstat(file.fileno()).st_mtime
        if len(text) > _MAX_BYTES:
            return Remembered(), 0.0
        return _remembered(json.loads(text)), at
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return Remembered(), 0.0


def write(path: Path, what: Remembered) -> None:
    """Remember ``what`` at ``path``, whole or not at all. A disk that is full is no reason to say anything."""
    data = {
        "theme": what.theme, "sort": what.sort, "filter": what.filter, "marks": what.marks,
        "panes": _plain(what.panes), "zoomed": what.zoomed,
    }  # fmt: skip
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        try:
            with open(new, "w", encoding="utf-8", opener=private) as file:
                json.dump(data, file)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)


def _plain(tree: Tree | None) -> object:
    if tree is None or isinstance(tree, Leaf):
        return None if tree is None else tree.key
    return {"stacked": tree.stacked, "share": tree.share, "of": [_plain(tree.first), _plain(tree.second)]}


def _tree(value: object, depth: int = 0) -> Tree | None:
    if value is None:
        return None
    if isinstance(value, str):
        return Leaf(value)
    if not isinstance(value, dict) or depth > _MAX_DEPTH:
        raise ValueError("no tree of panes")
    split = cast("dict[str, object]", value)
    first, second = (_tree(one, depth + 1) for one in cast("list[object]", split["of"]))
    share = split["share"]
    if first is None or second is None or not isinstance(share, float) or not 0 < share < 1:
        raise ValueError("no tree of panes")
    return Split(split["stacked"] is True, first, second, share)


def _remembered(value: object) -> Remembered:
    found = cast("dict[str, object]", value)
    theme, filter_text, zoomed = found["theme"], found["filter"], found["zoomed"]
    by, descending = cast("list[object]", found["sort"])
    marks = cast("list[object]", found["marks"])
    panes = _tree(found["panes"])
    if theme not in THEMES or not isinstance(filter_text, str) or not isinstance(by, str):
        raise ValueError("not what the console writes")
    return Remembered(
        theme=theme,
        sort=(by, descending is True),
        filter=filter_text,
        marks=tuple(str(one) for one in marks),
        panes=panes if len(leaves(panes)) <= _MAX_PANES else None,
        zoomed=zoomed if isinstance(zoomed, str) else None,
    )
