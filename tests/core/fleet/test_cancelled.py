"""The task of an operation is cancelled, at every await that it comes to, in a core that goes on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from .operations import OPERATIONS, CutOff, Operation, go_on
from .steps import Steps, nth

if TYPE_CHECKING:
    from .lab import Lab
    from .operations import Cut

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_task_is_cancelled_at_every_await(cut_off: CutOff, name: str) -> None:
    def cut(time: int) -> Cut:
        return partial(_cancelled, time)

    cut_off(OPERATIONS[name], cut)


async def _cancelled(time: int, lab: Lab, operation: Operation, steps: Steps) -> bool:
    async with lab.core(maintained=operation.warm) as core:
        if operation.first is not None:
            await operation.first(core)
        task = trio.lowlevel.current_task()
        with trio.CancelScope() as scope:
            steps.arm(lambda each: each is task, nth(time), scope.cancel)
            await operation.do(core)
        acted = steps.disarm()
        await go_on(core, operation)
    return acted
