"""Something happens before the n-th step of a task, for every n: a cancellation, the death of a core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable


class Steps(trio.abc.Instrument):
    """Watches the steps of the tasks that it is told of. A step is what a task does from one await to the next."""

    def __init__(self) -> None:
        self._within: Callable[[trio.lowlevel.Task], bool] = _none
        self._when: Callable[[], bool] = _never
        self._act: Callable[[], None] | None = None

    def arm(
        self,
        within: Callable[[trio.lowlevel.Task], bool],
        when: Callable[[], bool],
        act: Callable[[], None],
    ) -> None:
        """Call ``act`` once, before the first step of the tasks ``within`` for which ``when`` says so."""
        self._within, self._when, self._act = within, when, act

    def disarm(self) -> bool:
        """Whether it came to that; it will not any more."""
        acted, self._act = self._act is None, None
        return acted

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._act is not None and self._within(task) and self._when():
            act, self._act = self._act, None
            act()


def _none(_task: trio.lowlevel.Task) -> bool:
    return False


def _never() -> bool:
    return False


def nth(number: int) -> Callable[[], bool]:
    """For `Steps.arm`: the step with this number, from 1."""
    left = number

    def when() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    return when


def unseen(seen: set[object], look: Callable[[], object]) -> Callable[[], bool]:
    """For `Steps.arm`: the first step before which ``look`` sees what is not ``seen``; it is then."""

    def when() -> bool:
        found = look()
        if found in seen:
            return False
        seen.add(found)
        return True

    return when


def beneath(nursery: trio.Nursery) -> Callable[[trio.lowlevel.Task], bool]:
    """The tasks of ``nursery`` and of all nurseries that these have."""

    def within(task: trio.lowlevel.Task | None) -> bool:
        while task is not None and task.parent_nursery is not None:
            if task.parent_nursery is nursery:
                return True
            task = task.parent_nursery.parent_task
        return False

    return within
