"""The steps of builds that are kept, so that the next build need not take them again: what layers each had come to."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError, NotFound
from sandtop.core.guest.containers import documents
from sandtop.core.guest.containers.kept import Layers, Stack
from sandtop.core.guest.store import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE: Final = 14 * 86400.0
"""Seconds after which a step that no build has used is forgotten."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of builds whose layers are in ``store``, each by its key: the SHA-256 of all that it
    depends on, in hexadecimal."""

    store: Layers

    def find(self, key: str) -> Stack | None:
        """The layers after the step ``key``; None where it was not taken, or one is gone. It counts as used."""
        path = self._file(key)
        stack = _read(path)
        if stack is None or not all(map(self.store.has, stack.layers)):
            return None
        os.utime(path)
        return stack

    def get(self, key: str) -> Stack:
        """As `find`. Raises `NotFound`."""
        stack = self.find(key)
        if stack is None:
            raise NotFound(f"the step {key[:12]} of a build is not here any more", hint="build again")
        return stack

    def keep(self, key: str, stack: Stack) -> None:
        """Raises OSError."""
        path = self._file(key)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_json(
            path,
            {
                "layers": [{"digest": layer.digest, "size": layer.size} for layer in stack.layers],
                "diff_ids": [*stack.diff_ids],
            },
        )

    def digests(self) -> set[str]:
        """The digests of all layers of steps."""
        return {layer.digest for stack in self._all() for layer in stack.layers}

    def sweep(self, patience: float) -> None:
        """Forget those that were used over ``patience`` seconds ago."""
        before = time.time() - patience
        for path in self._folder.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # another process sweeps, too
                if path.stat().st_mtime <= before:
                    path.unlink()

    def _all(self) -> Iterator[Stack]:
        for path in self._folder.glob("*.json"):
            if (stack := _read(path)) is not None:
                yield stack

    @property
    def _folder(self) -> Path:
        return self.store.root / "steps"

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _read(path: Path) -> Stack | None:
    facts = read_json(path)
    if "layers" not in facts:
        return None
    doing = "a step of a build"
    try:
        layers = [
            documents.descriptor(documents.an_object(layer, doing), doing)
            for layer in documents.get_list(facts, "layers", doing)
        ]
        ids = [documents.digest(value, doing) for value in documents.get_list(facts, "diff_ids", doing)]
    except ImageError:
        return None
    return Stack(tuple(layers), tuple(ids)) if len(layers) == len(ids) else None
