"""Which sandboxes a request about several means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandtop.core.fleet import Fleet, Sandbox


class Selection:
    """The sandboxes that are called one of ``names`` (or have that uuid; None: all) and have all of ``labels``.

    What comes into being later is among them, too. With ``history`` removed ones are, of which nothing but events need
    be left. Raises `NotFound` for a name that nothing has.

    Attributes:
        unknown: with ``history``, the names that nothing has now.
    """

    def __init__(
        self,
        fleet: Fleet,
        names: Sequence[str] | None,
        labels: Mapping[str, str] | None,
        *,
        history: bool = False,
    ) -> None:
        self._fleet = fleet
        self._labels = labels or {}
        self.unknown: list[str] = []
        self._names: set[str] | None = None if names is None else set(names)
        for name in names or ():
            try:
                self._names = {*(self._names or ()), fleet.get(name).row.uuid}
            except NotFound:
                if not history:
                    raise
                self.unknown.append(name)

    def sandboxes(self) -> list[Sandbox]:
        """Those that there are now."""
        return [each for each in self._fleet.all() if self.has(each.row.uuid, each.name)]

    def has(self, uuid: str | None, name: str | None) -> bool:
        """Whether the sandbox with this uuid and name is one of them; None stands for the core itself."""
        if self._names is not None and uuid not in self._names and name not in self._names:
            return False
        if not self._labels:
            return True
        sandbox = None if uuid is None else self._fleet.find(uuid)
        if sandbox is None:
            return False
        return self._labels.items() <= sandbox.row.config.labels.items()
