"""The wall clocks of guests: set to the host's whenever a machine may have stood still, or the host's was set.

A guest counts its time by its processors, so while they stand still (paused, stopped by a full disk, a host that
sleeps, a machine's process that is stopped) its wall clock does too. Between such events it is the guest's own: whoever
sets it to another time on purpose keeps that until the machine stands still once more.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandtop.core.channel import AgentLink

log = logging.getLogger(__name__)
PATIENCE: Final = 2.0
"""Seconds that a resume waits for the guest's clock to be set. It takes some milliseconds; a guest may be busy."""
_LOOK: Final = 1.0
_JUMP: Final = 0.5
"""The host's clock may be set by so many seconds before the clocks of guests are set, too."""
_PROMPT: Final = 0.3
"""Seconds within which the agent must answer: after more, the time that it was told is late, and it is told again."""
_TRIES: Final = 3
"""How often the agent is told the time at most, on a host that is busy."""


class Clock:
    """The clock of one machine.

    ``defaults`` gives the fields of a ``configure`` that are no identity: the agent wants them in each.

    Attributes:
        due: it has to be set as soon as the agent answers.
    """

    def __init__(self, link: AgentLink, defaults: Callable[[], Mapping[str, object]]) -> None:
        self._link = link
        self._defaults = defaults
        self._setting = trio.Lock()
        self.due = False

    @property
    def settable(self) -> bool:
        """Whether it has to be set and can be now."""
        return self.due and self._link.connected and not self._link.silent and not self._setting.locked()

    def look(self) -> None:
        """An agent that does not answer may be standing still."""
        if self._link.connected and self._link.silent:
            self.due = True

    async def set(self) -> None:
        """Set the guest's clock to the host's, within `PATIENCE`; else it stays due. Raises nothing."""
        self.due = True
        async with self._setting:
            with trio.move_on_after(PATIENCE):
                for _ in range(_TRIES):
                    begun = trio.current_time()
                    try:
                        answer = await self._link.request(self._message(), PATIENCE)
                    except ChannelError:
                        return
                    self.due = False
                    if answer.get("error") is not None:
                        log.warning("a guest's clock cannot be set: %.200r", answer["error"])
                        return
                    if trio.current_time() - begun < _PROMPT:
                        return

    def _message(self) -> dict[str, object]:
        """A ``configure`` of which null leaves everything as it is: every version of the agent knows it."""
        identity = {"hostname": None, "machine_id": None, "entropy": None}
        return {"type": "configure", **self._defaults(), **identity, "clock_ns": time.time_ns()}


def host_offset() -> float:
    """Seconds from the monotonic clock to the wall clock. It changes when the host has slept (CLOCK_MONOTONIC does not
    count that, clock_gettime(2)) and when its clock was set; not while it is slewed, which both follow."""
    return time.time() - time.monotonic()


class Jumps:
    """Whether the host's clock has jumped since it did last."""

    def __init__(self, offset: float) -> None:
        self._offset = offset

    def jumped(self, offset: float) -> bool:
        """Is given the `host_offset` of now."""
        if abs(offset - self._offset) < _JUMP:
            return False
        self._offset = offset
        return True


async def keep_clocks(
    running: Callable[[], Iterable[Clock]], nursery: trio.Nursery, offset: Callable[[], float] = host_offset
) -> None:
    """Have the clocks of all machines that run set when they are due, for as long as this is not cancelled."""
    jumps = Jumps(offset())
    while True:
        await trio.sleep(_LOOK)
        jumped = jumps.jumped(offset())
        if jumped:
            log.info("the host's clock jumped: it slept, or was set")
        for clock in running():
            clock.look()
            clock.due = clock.due or jumped
            if clock.settable:
                nursery.start_soon(clock.set)
