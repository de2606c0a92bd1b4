"""The use of a template for one start."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import trio

from sandtop.core.machine import Memory
from sandtop.core.templates.files import MEMORY, OVERLAY, STATE, Loaded, fill
from sandtop.core.templates.key import Kind, template_spec

if TYPE_CHECKING:
    from types import TracebackType

    from sandtop.core.machine import MachineSpec


class Template:
    """A template whose files are held open, also when it is forgotten meanwhile. A context manager that closes them.

    Attributes:
        key: the template's.
        kind: for whom it is.
    """

    def __init__(self, key: str, kind: Kind, loaded: Loaded) -> None:
        self.key = key
        self.kind = kind
        self._descriptors = {name: os.dup(number) for name, number in loaded.descriptors.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close them."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def restored(self, spec: MachineSpec) -> MachineSpec:
        """The machine of ``spec``, going on from this template."""
        return replace(template_spec(spec, self.kind), memory=Memory(self._path(MEMORY), self._path(STATE)))

    async def fill_overlay(self, path: Path) -> None:
        """Make the new file ``path`` a copy of the disk that a `Kind.FRESH` template has mounted.

        Raises `StorageError`; the file is not there then.
        """
        await trio.to_thread.run_sync(partial(fill, self._descriptors[OVERLAY], path))

    def _path(self, name: str) -> Path:
        return Path(f"/proc/self/fd/{self._descriptors[name]}")
