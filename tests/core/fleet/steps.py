"""Something happens before the n-th step of a task, for every n: a cancellation, the death of a core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable


class Steps(trio.abc.Instrument):
    """Counts the steps of the tasks that it is told of. A step is what a task does from one await to the next."""

    def __init__(self) -> None:
        self._within: Callable[[trio.lowlevel.Task], bool] | None = None
        self._act: Callable[[], None] | None = None
        self._at = 0
        self.taken = 0

    def arm(self, at: int, within: Callable[[trio.lowlevel.Task], bool], act: Callable[[], None]) -> None:
        """Call ``act`` before step number ``at``, from now and from 1, of the tasks ``within``."""
        self._within, self._act, self._at, self.taken = within, act, at, 0

    def disarm(self) -> bool:
        """Whether it came to that; it will not any more."""
        acted, self._within, self._act = self._act is None, None, None
        return acted

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._act is None or self._within is None or not self._within(task):
            return
        self.taken += 1
        if self.taken == self._at:
            act, self._act = self._act, None
            act()


def beneath(nursery: trio.Nursery) -> Callable[[trio.lowlevel.Task], bool]:
    """The tasks of ``nursery`` and of all nurseries that these have."""

    def within(task: trio.lowlevel.Task | None) -> bool:
        while task is not None and task.parent_nursery is not None:
            if task.parent_nursery is nursery:
                return True
            task = task.parent_nursery.parent_task
        return False

    return within
