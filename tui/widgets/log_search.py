"""Searching in a log: also in what has yet to come of what the log held when its pane opened it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sandtop.tui.ansi import plain

from .log_lines import Budget

if TYPE_CHECKING:
    from .log_view import LogView

_STEP: Final = 2000
"""Lines looked at before others have their turn."""
_ARRIVES_WITHIN: Final = 5.0
"""Seconds for which a search waits for what the pane has yet to open with."""

_MOST_EVIDENCE: Final = 100_000
"""Lines, the newest, among which stderr is looked for."""


class Arrival:
    """How much has come of what the log held when its pane opened it.

    Attributes:
        reached: of each stream, the offset up to which it was read.
    """

    def __init__(self) -> None:
        self.reached = {1: 0, 2: 0}
        self._held: dict[int, int] | None = None
        self._lines = self._most_lines = 0
        self._more = asyncio.Event()

    def expect(self, stdout: int, stderr: int, lines: int) -> None:
        """The log, which holds so many bytes, begins to come: its last ``lines`` lines."""
        self._held, self._most_lines = {1: stdout, 2: stderr}, lines
        self._more.set()

    def advance(self, stream: int, offset: int, lines: int) -> None:
        """``stream`` was read up to ``offset``; so many lines have come of both streams."""
        self.reached[stream], self._lines = offset, lines
        self._more.set()

    def restart(self) -> None:
        """The log is read anew."""
        self._held, self.reached, self._lines = None, {1: 0, 2: 0}, 0

    @property
    def begun(self) -> bool:
        """Whether it is known how much there is to come."""
        return self._held is not None

    @property
    def _complete(self) -> bool:
        if self._held is None:
            return False
        ends = [self.reached[stream] >= held for stream, held in self._held.items() if held]
        # the lines that a pane opens with may all be of one stream: what the other held is then never read
        return all(ends) or (any(ends) and self._lines >= self._most_lines)

    async def wait_for_more(self) -> bool:
        """Whether more of it has come; False once all has.

        What does not come in time is not expected any more.
        """
        if self._complete:
            return False
        self._more.clear()
        try:
            async with asyncio.timeout(_ARRIVES_WITHIN):
                await self._more.wait()
        except TimeoutError:
            self._held = self._held and {}
            return False
        return True


async def search(view: LogView, step: int, arrival: Arrival) -> bool:
    """Show the next line above (``step`` -1) or below (1) that matches what ``view`` looks for; False if none does."""
    pattern = view.looking_for
    if pattern is None:
        return True
    start = await _starting_line(view, step, arrival)
    while True:
        budget = Budget(_STEP)
        looked = 0
        source = view.lines.backwards(start, budget) if step < 0 else view.lines.forwards(start + 1, budget)
        for line in source:
            start = line.number
            if pattern.search(plain(line.text)):
                view.reveal(start)
                return True
            looked += 1
            if looked >= _STEP:
                break
        if looked or budget.spent:
            await asyncio.sleep(0)
        elif await arrival.wait_for_more():
            start = view.ring.end if step < 0 else start
        else:
            return False


async def show_last_stderr(view: LogView, arrival: Arrival) -> None:
    """Show the first of the last lines that stderr wrote without stdout between them; stay at the end without any."""
    while await arrival.wait_for_more():
        continue
    await view.sized.wait()  # above the line there is to be some of what came before it
    first: int | None = None
    for looked, line in enumerate(view.ring.backwards(view.ring.end), 1):
        if line.stream % 4 == 2:
            first = line.number
        elif first is not None or looked > _MOST_EVIDENCE:
            break
        if looked % _STEP == 0:
            await asyncio.sleep(0)
    if first is not None:
        view.reveal(first)


async def _starting_line(view: LogView, step: int, arrival: Arrival) -> int:
    """The line to look from: the last match while it is on the screen, else the edge of what is."""
    if view.found is not None and view.first_shown <= view.found <= view.last_shown:
        return view.found
    while view.following and await arrival.wait_for_more():
        continue  # the newest match is in what comes last
    if step > 0:
        return view.first_shown - 1
    # while it follows, the newest lines are in the ring before they are on the screen
    return view.ring.end if view.following else view.last_shown + 1
