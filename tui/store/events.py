"""What happened to each sandbox last, by the core's word."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from sandtop.core.client.sdk import Happening

KEPT: Final = 12
"""Events of a sandbox that are kept."""
_MOST_OTHERS: Final = 100
"""Sandboxes of which events are kept although the core's last answer did not have them."""


class LastEvents:
    """The newest of each sandbox, by its uuid."""

    def __init__(self) -> None:
        self._known: dict[str, deque[Happening]] = {}
        self._newest = -1

    def of(self, uuid: str) -> tuple[Happening, ...]:
        """What happened to a sandbox, oldest first."""
        return tuple(self._known.get(uuid, ()))

    def take(self, one: Happening) -> None:
        """Take an event; one that it has already, since all were asked for anew, changes nothing."""
        if one.uuid is not None and one.id > self._newest:
            self._newest = one.id
            self._known.setdefault(one.uuid, deque(maxlen=KEPT)).append(one)

    def keep(self, uuids: Collection[str]) -> None:
        """Forget sandboxes that are not among ``uuids``, once they are many: one may not be there yet."""
        if len(self._known) > len(uuids) + _MOST_OTHERS:
            self._known = {uuid: events for uuid, events in self._known.items() if uuid in uuids}
