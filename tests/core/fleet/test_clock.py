"""When the core sets a guest's clock. That the guest then has the host's time is shown with real machines."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import trio

from sandtop.core.fleet.clock import PATIENCE, Clock, Jumps, host_offset, keep_clocks

from ..channel.scripted import ScriptedAgent, listening, run, running_core

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Message = dict[str, object]

DEFAULTS: dict[str, object] = {
    "env": {},
    "workdir": "/",
    "shell": "/bin/sh",
    "user": "root",
    "window": 1,
    "tty_window": 1,
}


class Guest(ScriptedAgent):
    """Keeps what it was configured with. While ``deaf`` it stands still: what it is told waits."""

    def __init__(self) -> None:
        super().__init__()
        self.configured: list[Message] = []
        self.deaf = False
        self._waiting: list[Message] = []

    def _control(self, message: Message) -> None:
        self._waiting.append(message)
        while self._waiting and not self.deaf:
            message = self._waiting.pop(0)
            if message["type"] == "configure":
                self.configured.append(message)
            super()._control(message)


def with_clock(main: Callable[[Clock, Guest, trio.Nursery], Awaitable[None]]) -> None:
    """Run ``main`` with the clock of a guest whose link stands."""

    async def body() -> None:
        guest = Guest()
        with tempfile.TemporaryDirectory() as folder:
            async with (
                listening(Path(folder), guest.serve),
                running_core(Path(folder)) as core,
                trio.open_nursery() as nursery,
            ):
                await core.link.wait_up(5)
                await main(Clock(core.link, lambda: DEFAULTS), guest, nursery)
                nursery.cancel_scope.cancel()

    run(body)


def test_the_host_s_time_and_nothing_else_is_sent() -> None:
    async def main(clock: Clock, guest: Guest, nursery: trio.Nursery) -> None:
        before = time.time_ns()
        await clock.set()
        (message,) = guest.configured
        assert before <= cast("int", message["clock_ns"]) <= time.time_ns()
        assert [message[field] for field in ("hostname", "machine_id", "entropy")] == [None, None, None]
        assert {
            field: message[field] for field in DEFAULTS
        } == DEFAULTS  # or sessions would start with others
        assert not clock.due

    with_clock(main)


def test_a_guest_that_does_not_answer_is_told_the_time_of_when_it_does() -> None:
    async def main(clock: Clock, guest: Guest, nursery: trio.Nursery) -> None:
        nursery.start_soon(keep_clocks, lambda: [clock], nursery)
        guest.deaf = True
        begun = trio.current_time()
        await clock.set()
        assert trio.current_time() - begun <= PATIENCE
        still_due = clock.due
        assert still_due
        await trio.sleep(600)
        guest.deaf = False
        await clock.set()
        assert not clock.due
        assert len(guest.configured) < 20  # it was not asked over and over what it did not answer
        times = [cast("int", message["clock_ns"]) for message in guest.configured]
        assert times == sorted(times)  # what is old comes first, and is put right

    with_clock(main)


def test_a_host_that_slept_or_was_set_has_every_clock_set_once() -> None:
    offset = 1_000_000.0

    async def main(clock: Clock, guest: Guest, nursery: trio.Nursery) -> None:
        nonlocal offset
        nursery.start_soon(keep_clocks, lambda: [clock], nursery, lambda: offset)
        await trio.sleep(10)
        assert guest.configured == []
        offset += 3600
        await trio.sleep(10)
        assert len(guest.configured) == 1
        offset -= 7200
        await trio.sleep(10)
        assert len(guest.configured) == 2

    with_clock(main)


def test_steps_too_small_to_matter_matter_together() -> None:
    jumps = Jumps(0.0)
    assert [jumps.jumped(step * 0.2) for step in range(7)] == [False, False, False, True, False, False, True]
    assert jumps.jumped(-1e9)
    first = host_offset()
    assert abs(host_offset() - first) < 0.4
