"""What a command did in each of several sandboxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from sandtop.core.errors import SandtopError, TimedOut

from .sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .collect import Output

AT_ONCE: Final = 64
"""Sandboxes in which the command runs at a time: one client must not take all of the core's connections."""
_GRACE: Final = 20.0
"""Seconds beyond its timeout for a sandbox to say how the command ended; one that stands still does not."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did in one sandbox.

    Attributes:
        sandbox: the name or uuid that was given.
        output: what it wrote and how it ended; None when it did not run there, or that is not known.
        error: why ``output`` is None.
    """

    sandbox: str
    output: Output | None = None
    error: SandtopError | None = None

    @property
    def exit_code(self) -> int:
        """The exit status; the one that `sandtop exec` would give where there was an error."""
        if self.output is not None:
            return self.output.exit_code
        return self.error.exit_status if self.error is not None else 0


async def outcomes(
    sandboxes: Sequence[str],
    run: Callable[[Sandbox], Awaitable[Output]],
    seconds: float | None,
    ended: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """``run`` each of ``sandboxes``, with the deadline ``seconds``; ``ended`` hears of each outcome as it comes."""
    found: dict[int, Outcome] = {}
    room = anyio.CapacityLimiter(AT_ONCE)

    async def work(place: int, name: str) -> None:
        async with room:
            outcome = Outcome(name, error=TimedOut(f"{name} did not say in time how it ended", sandbox=name))
            with anyio.move_on_after(None if seconds is None else seconds + _GRACE):
                try:
                    outcome = Outcome(name, await run(Sandbox.at(name)))
                except SandtopError as error:
                    outcome = Outcome(name, error=error)
        found[place] = outcome
        if ended is not None:
            ended(outcome)

    async with anyio.create_task_group() as group:
        for place, name in enumerate(sandboxes):
            group.start_soon(work, place, name)
    return [found[place] for place in range(len(sandboxes))]
