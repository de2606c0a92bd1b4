"""An hour of values, in as little memory as they take: one a slot of ten seconds, the oldest overwritten."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOT_SECONDS: Final = 10.0
SLOTS: Final = 360
_NOTHING: Final = math.nan


class Ring:
    """So many ``columns`` of values for each slot, four bytes a value. A slot that got none has None in each."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._values = array("f", [_NOTHING]) * (SLOTS * columns)
        self._first: int | None = None
        self._last = 0

    def put(self, slot: int, values: Sequence[float | None]) -> None:
        """The values of ``slot``, which is later than all before it."""
        if self._first is None:
            self._first = slot
        else:
            for missed in range(max(self._last + 1, slot - SLOTS + 1), slot):
                self._set(missed, [None] * self._columns)
        self._set(slot, values)
        self._last = slot

    def _set(self, slot: int, values: Sequence[float | None]) -> None:
        at = slot % SLOTS * self._columns
        self._values[at : at + self._columns] = array(
            "f", [_NOTHING if one is None else one for one in values]
        )

    def get(self, slot: int) -> list[float | None]:
        """What `put` was given for ``slot``, as far as four bytes hold it."""
        if self._first is None or not max(self._first, self._last - SLOTS + 1) <= slot <= self._last:
            return [None] * self._columns
        at = slot % SLOTS * self._columns
        return [None if math.isnan(one) else one for one in self._values[at : at + self._columns]]

    def columns(self, groups: Sequence[Sequence[int]]) -> list[list[float | None]]:
        """For each column the mean of each of ``groups`` of slots; None where none of them has a value."""
        found: list[list[float | None]] = [[] for _ in range(self._columns)]
        for slots in groups:
            rows = [self.get(slot) for slot in slots]
            for column, into in enumerate(found):
                known = [row[column] for row in rows]
                into.append(_mean([one for one in known if one is not None]))
        return found


def _mean(values: Sequence[float]) -> float | None:
    """Six digits of it: it goes out as text."""
    return float(f"{sum(values) / len(values):.6g}") if values else None
