"""Which alerts are new: those that want a bell or a notification get it once, in each console."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandtop.tui.text import neutral

if TYPE_CHECKING:
    from sandtop.tui.store import FleetView


@dataclass(frozen=True, slots=True)
class Said:
    """What to say of an alert. ``notify``: ``bell`` or ``osc9``. ``text`` has no control characters."""

    notify: str
    text: str


class NewAlerts:
    """Compares each look at the core with the one before. What was raised before the first is not new."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, float]] | None = None

    def new_in(self, view: FleetView) -> list[Said]:
        """The alerts of ``view`` that are new and want to be told."""
        if not view.version or view.trouble:
            return []
        found: list[Said] = []
        raised: set[tuple[str, str, float]] = set()
        for sandbox in view.sandboxes:
            for alert in sandbox.info.alerts:
                key = sandbox.uuid, alert.name, alert.at
                raised.add(key)
                new = self._known is not None and key not in self._known and not alert.acknowledged
                if new and alert.notify in ("bell", "osc9"):
                    words = f"{sandbox.name}: {alert.name}{f' · {alert.text}' if alert.text else ''}"
                    found.append(Said(alert.notify, neutral(words)))
        self._known = raised
        return found
