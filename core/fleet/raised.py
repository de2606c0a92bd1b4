"""The alerts of a sandbox: rules of the configuration that hold of it, or did."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that holds of a sandbox, or did.

    Attributes:
        text: the line of output that it is about; empty for another rule.
        at: when it was raised, seconds since the epoch.
        session: the session that wrote it, or None.
        seen: somebody has acknowledged it.
    """

    name: str
    text: str
    at: float
    notify: str
    session: str | None = None
    seen: bool = False


class Alerts:
    """The alerts of one sandbox, by the names of their rules."""

    def __init__(self) -> None:
        self._raised: dict[str, Alert] = {}

    def all(self) -> list[Alert]:
        """Those that are raised, acknowledged or not, the newest first."""
        return sorted(self._raised.values(), key=lambda alert: -alert.at)

    def acknowledge(self, *, undo: bool = False) -> bool:
        """Somebody has seen all; with ``undo`` they ask again. Whether there was one."""
        self._raised = {name: replace(alert, seen=not undo) for name, alert in self._raised.items()}
        return bool(self._raised)

    def put(self, alert: Alert) -> None:
        self._raised[alert.name] = alert

    def get(self, name: str) -> Alert | None:
        return self._raised.get(name)

    def drop(self, name: str) -> None:
        self._raised.pop(name, None)
