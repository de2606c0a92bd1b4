"""The alerts that are raised for a sandbox; `alerts` tries the rules that raise them."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sandtop.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Generator

    from sandtop.core.store import AlertRow, Database

log = logging.getLogger(__name__)


class Alerts:
    """The alerts of the sandbox ``uuid``, by the names of their rules, and those that an earlier core raised for it.

    A database that takes nothing does not keep one from being raised: the next core raises it anew then.
    """

    def __init__(self, uuid: str, database: Database) -> None:
        self._uuid = uuid
        self._database = database
        self._raised = {alert.name: alert for alert in database.alerts(uuid)}

    def all(self) -> list[AlertRow]:
        """Those that are raised, acknowledged or not, the newest first."""
        return sorted(self._raised.values(), key=lambda alert: -alert.at)

    def acknowledge(self, *, undo: bool = False) -> bool:
        """Somebody has seen all; with ``undo`` they ask again. Whether there was one. Raises `StorageError`."""
        for name, alert in self._raised.items():
            if alert.seen is undo:
                now = replace(alert, seen=not undo)
                self._database.put_alert(self._uuid, now)
                self._raised[name] = now
        return bool(self._raised)

    def put(self, alert: AlertRow) -> None:
        """It is raised, or raised anew."""
        self._raised[alert.name] = alert
        with self._unless_refused():
            self._database.put_alert(self._uuid, alert)

    def get(self, name: str) -> AlertRow | None:
        return self._raised.get(name)

    def drop(self, name: str) -> None:
        """It does not hold any more."""
        if self._raised.pop(name, None) is not None:
            with self._unless_refused():
                self._database.remove_alert(self._uuid, name)

    @contextmanager
    def _unless_refused(self) -> Generator[None]:
        try:
            yield
        except StorageError as error:
            log.warning("the alerts of %s are not stored: %s", self._uuid, error)
