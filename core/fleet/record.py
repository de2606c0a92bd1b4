"""What is stored of a sandbox: its row, and in it the state. In memory at once, in the database when that takes it."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import StorageError, WrongState
from sandtop.core.fleet.state import State, check_transition

if TYPE_CHECKING:
    from sandtop.core.events import Teller
    from sandtop.core.store import Database, Ownership, SandboxConfig, SandboxRow

log = logging.getLogger(__name__)
_FAILED: Final = frozenset({State.FAILED, State.LOST})
_TOLD: Final = {
    (State.STARTING, State.RUNNING): "started",
    (State.PAUSED, State.RUNNING): "resumed",
    **{
        (old, new): new.value
        for old in State
        for new in (State.PAUSED, State.STOPPED, State.FAILED, State.LOST)
    },
}
"""The kinds of event that changes of the state are; others are none."""


class Record:
    """The row of one sandbox.

    A database that takes nothing, such as one on a full disk, holds no machine up: what happened is in ``row`` at once,
    and `save` stores it later.

    Attributes:
        row: as it is now.
    """

    def __init__(self, row: SandboxRow, database: Database, tell: Teller) -> None:
        """``tell`` adds what happens to the events."""
        self.row = row
        self._database = database
        self._unsaved = False
        self._tell = tell

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def state(self) -> State:
        return State(self.row.state)

    def to(self, state: State, reason: str = "", **changes: object) -> None:
        """Go to ``state``, for ``reason``, with what else changes of the row.

        Raises `StorageError` for `State.STARTING` alone, before which nothing has happened; the row stays as it was.
        """
        check_transition(self.state, state)
        before, unsaved = self.row, self._unsaved
        self.row = dataclasses.replace(
            before,
            state=state.value,
            reason=reason,
            acknowledged_at=None,
            changed_at=time.time(),
            **changes,  # type: ignore[arg-type]
        )
        try:
            self._store()
        except StorageError as error:
            if state is State.STARTING:
                self.row, self._unsaved = before, unsaved
                raise
            log.warning("%s is %s, which could not be stored: %s", self.name, state, error)
        if (kind := _TOLD.get((State(before.state), state))) is not None:
            self._tell(kind, "" if reason == state.value else reason)

    def own(self, ownership: Ownership) -> None:
        """Keep how its machine is found again. Raises `StorageError`; a core that has not stored that may lose it."""
        if ownership != self.row.ownership:  # an adopted one is known already, also when the disk is full
            self.row = dataclasses.replace(self.row, ownership=ownership)
            self._database.update_sandbox(self.row)

    def configure(self, config: SandboxConfig) -> None:
        """Change the sandbox's configuration to ``config``. Raises `StorageError`, and nothing has changed then."""
        row = dataclasses.replace(self.row, config=config)
        self._database.update_config(row)
        self.row = row

    def allow(self, rules: tuple[str, ...]) -> None:
        """Change the lines of the sandbox's allow-list to ``rules``. Raises `StorageError`; then they stay."""
        self.configure(dataclasses.replace(self.row.config, allow=rules))
        self._tell("allow-list", ", ".join(rules) or "nothing")

    def remember(self, reason: str) -> None:
        """Keep ``reason`` for a later core. A disk that takes nothing is asked again by `save`."""
        if self.row.reason == reason:
            return
        self.row = dataclasses.replace(self.row, reason=reason)
        try:
            self._store()
        except StorageError as error:
            log.warning("%s: %s", self.name, error)

    def acknowledge(self, *, undo: bool = False) -> None:
        """Somebody has seen that it failed: it asks for attention no more; with ``undo`` it asks again.

        Raises `WrongState` when it has not failed, `StorageError`.
        """
        if self.state not in _FAILED:
            raise WrongState(f"{self.name} has not failed: it is {self.state}", sandbox=self.name)
        if (self.row.acknowledged_at is None) != undo:
            row = dataclasses.replace(self.row, acknowledged_at=None if undo else time.time())
            self._database.update_sandbox(row)
            self.row = row
            self._tell("acknowledged", "taken back" if undo else "")

    def save(self) -> None:
        """Store what a full disk refused when it happened. Raises `StorageError` when it still does."""
        if self._unsaved:
            self._store()

    def remove(self, *, keep_history: bool) -> None:
        """It is removed: delete the row, or keep it as history. Raises `StorageError`."""
        if keep_history:
            self.row = dataclasses.replace(self.row, removed_at=time.time(), reason="removed")
            self._database.update_sandbox(self.row)
        else:
            self._database.remove_sandbox(self.row.uuid)
        self._tell("removed")

    def _store(self) -> None:
        self._unsaved = True
        self._database.update_sandbox(self.row)
        self._unsaved = False
