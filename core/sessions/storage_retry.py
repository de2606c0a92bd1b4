"""Trying again and again to store what a full disk refused."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
_RETRY: Final = 0.5
_SELDOM: Final = 5.0
"""Seconds before the second attempt, and at the most between later ones."""


class StorageRetry:
    """Whether the sandbox ``name`` has something that could not be stored.

    ``store`` tries to store it, and says whether all is stored then. ``nursery`` owns the task that calls it.

    Attributes:
        why: why output or exit records wait to be stored; None when they do not.
    """

    def __init__(self, name: str, nursery: trio.Nursery, store: Callable[[], bool]) -> None:
        self._name = name
        self._nursery = nursery
        self._store = store
        self.why: str | None = None

    def begin(self, why: str) -> None:
        """Something could not be stored: try again until it is, whether the machine lives or not."""
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
