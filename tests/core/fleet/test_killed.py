"""The core is killed at every moment of an operation, and the next one finds what it left."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from .invariants import picture
from .lab import Lab
from .operations import OPERATIONS, CutOff, Operation, go_on
from .steps import Steps, beneath, nth, unseen

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lab import Core
    from .operations import Cut

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_core_is_killed_with_whatever_it_leaves(cut_off: CutOff, name: str) -> None:
    """A kill is all about what it leaves: so once for each of the states that the operation passes through."""
    seen: set[object] = set()

    def cut(_time: int) -> Cut:
        return partial(_killed, Lab.kill, lambda core: unseen(seen, partial(picture, core)))

    cut_off(OPERATIONS[name], cut)


@pytest.fixture
def step(chaos_rounds: int) -> int:
    """One await in three is tried in CI; ``just chaos`` tries every one."""
    return 1 if chaos_rounds > 10 else 3


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_core_is_killed_at_every_await(cut_off: CutOff, name: str, step: int) -> None:
    def cut(time: int) -> Cut:
        return partial(_killed, Lab.kill, lambda _core: nth(time))

    cut_off(OPERATIONS[name], cut, step=step)


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_core_ends_in_order_at_every_await(cut_off: CutOff, name: str, step: int) -> None:
    """Its tasks are cancelled, and what they do then has its effect."""

    def cut(time: int) -> Cut:
        return partial(_killed, _end, lambda _core: nth(time))

    cut_off(OPERATIONS[name], cut, step=step)


def _end(_lab: Lab, core: Core) -> None:
    core.nursery.cancel_scope.cancel()


async def _killed(
    kill: Callable[[Lab, Core], None],
    when: Callable[[Core], Callable[[], bool]],
    lab: Lab,
    operation: Operation,
    steps: Steps,
) -> bool:
    async with lab.core(maintained=operation.warm) as core:
        if operation.first is not None:
            await operation.first(core)
        over = trio.Event()

        async def operate() -> None:
            try:
                await operation.do(core)
            finally:
                over.set()

        steps.arm(beneath(core.nursery), when(core), partial(kill, lab, core))
        core.nursery.start_soon(operate)
        await over.wait()
    acted = steps.disarm()
    async with lab.core(maintained=operation.warm) as core:
        await go_on(core, operation)
    return acted
