"""What goes wrong with a machine in memory: at which step, and how."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import trio

if TYPE_CHECKING:
    from sandtop.core.errors import SandtopError

Step = Literal[
    "find", "accelerator", "launch", "load", "boot", "configure", "pause", "resume", "status", "save", "stop", "kill",
    "adopt", "plug", "lengthen",
]  # fmt: skip
"""What can fail: ``find`` to ``launch`` of the driver; ``load`` of a machine's state, and its ``boot`` until the agent
is ready; ``configure`` of its agent; and the rest, which a core asks of a machine."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure of one step.

    Attributes:
        seconds: how long the step takes first; ``math.inf`` for one that never ends.
        dies: the machine ends then, for this reason.
        error: raised then, and nothing of the step is done. Of ``configure`` its message is the agent's refusal.
    """

    seconds: float = 0.0
    dies: str = ""
    error: SandtopError | None = None


class Faults:
    """The failures that are to come: each happens once, those of one step in the order in which they were added."""

    def __init__(self) -> None:
        self._coming: dict[Step, deque[Fault]] = {}

    def add(self, step: Step, *faults: Fault) -> None:
        """The next times that ``step`` is done, these happen."""
        self._coming.setdefault(step, deque()).extend(faults)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._coming.clear()

    def take(self, step: Step) -> Fault | None:
        """The fault of this ``step``, which is being done."""
        coming = self._coming.get(step)
        return coming.popleft() if coming else None

    async def meet(self, step: Step) -> Fault | None:
        """Do what the fault of this ``step`` says of time and errors: returns it for what it says of the machine."""
        await trio.lowlevel.checkpoint()
        fault = self.take(step)
        if fault is not None:
            await trio.sleep(fault.seconds)
            if fault.error is not None and not fault.dies:
                raise fault.error
        return fault
