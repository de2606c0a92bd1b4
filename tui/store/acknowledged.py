"""Failures that somebody has seen. They stay in the history and ask for nobody any more.

The core is to keep these, so that every console agrees; until it has an operation for it they are in a file of the
console's own.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MAX: Final = 5000
"""Keys kept; the oldest are forgotten first."""


class Acknowledged:
    """Keys of what was acknowledged, in ``path`` (None: nowhere)."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._keys: dict[str, None] = dict.fromkeys(self._load())

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, keys: Iterable[str]) -> None:
        """Note ``keys``. Raises OSError when they cannot be kept; they hold for this console all the same."""
        self._keys.update(dict.fromkeys(keys))
        for key in list(self._keys)[: max(0, len(self._keys) - _MAX)]:
            del self._keys[key]
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = self._path.with_suffix(f".{os.getpid()}")
            fresh.write_text(json.dumps(list(self._keys)))
            fresh.replace(self._path)

    def _load(self) -> list[str]:
        if self._path is None:
            return []
        try:
            found: object = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return []  # not there, or not ours: a failure that asks once more does no harm
        return [str(key) for key in found] if isinstance(found, list) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
