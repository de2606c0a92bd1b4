"""What could not be stored, on a disk that is full, is tried again until it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
_RETRY: Final = 0.5
_SELDOM: Final = 5.0
"""Seconds between attempts to write to a disk that was full, or is broken: at first, and after some."""


class Stall:
    """Of the sandbox ``name``. ``nursery`` owns the trying; ``store`` tries, and says whether all is stored.

    Attributes:
        why: why output or exit records wait to be stored; None when they do not.
    """

    def __init__(self, name: str, nursery: trio.Nursery, store: Callable[[], bool]) -> None:
        self._name = name
        self._nursery = nursery
        self._store = store
        self.why: str | None = None

    def begin(self, why: str) -> None:
        """Something could not be stored: go on trying, whether the machine lives or not."""
        if self.why is None:
            log.warning("%s: %s", self._name, why)
            self._nursery.start_soon(self._keep_storing, name=f"disk of {self._name}")
        self.why = why

    async def _keep_storing(self) -> None:
        pause = _RETRY
        while self.why is not None:
            await trio.sleep(pause)
            pause = min(pause * 1.25, _SELDOM)
            if self._store():
                self.why = None
        log.info("%s: all is stored again", self._name)
