"""What is wrong with a sandbox, and that it is not any more, as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandtop.core.fleet.sandbox import Sandbox


class Troubles:
    """`look` once a second. A trouble that is over within that time, such as a link that is made anew, is none."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}
        self._told: dict[str, str] = {}

    def look(self, sandboxes: Iterable[Sandbox]) -> None:
        """Tell of troubles that were there the last time, too, and of the end of those that were told."""
        seen: dict[str, str] = {}
        told: dict[str, str] = {}
        for sandbox in sandboxes:
            uuid, trouble = sandbox.row.uuid, sandbox.trouble
            before = self._told.get(uuid)
            if trouble is None:
                if before is not None and sandbox.machine is not None:
                    sandbox.tell("recovered", before)
                continue
            seen[uuid] = trouble
            if before is not None:
                told[uuid] = before
            elif self._seen.get(uuid) is not None:
                told[uuid] = trouble
                sandbox.tell("trouble", trouble)
        self._seen, self._told = seen, told
