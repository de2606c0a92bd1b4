"""What panes show, as text that is remembered: the id of a session, or the sandboxes whose logs one pane shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandtop.tui.store import FleetView

_LOGS: Final = "logs "
"""What the second kind begins with; no session's id has a blank in it."""


def logs_of(uuids: Iterable[str]) -> str:
    """The name of a pane with the logs of the sandboxes ``uuids``."""
    return _LOGS + " ".join(uuids)


def sandboxes_in(name: str, view: FleetView) -> dict[str, str]:
    """The sandboxes whose logs the pane showed, those that are still there: uuid to name. Of a session: none."""
    if not name.startswith(_LOGS):
        return {}
    found = [view.find(uuid) for uuid in name.removeprefix(_LOGS).split()]
    return {sandbox.uuid: sandbox.name for sandbox in found if sandbox is not None}


def known(name: str, view: FleetView) -> bool:
    """Whether what the pane showed is still there."""
    return bool(sandboxes_in(name, view)) or view.session(name) is not None
