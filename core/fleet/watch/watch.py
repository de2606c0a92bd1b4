"""What host and sandboxes use: read every ten seconds, or every two while somebody looks, and kept for an hour.

The host's kernel is asked about machines. A guest is asked nothing for this: its agent's answer to the ping that the
link sends every ten seconds says what the guest uses. Only who wants to know what single sessions use has it asked.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.contract.core_events import HostHistory, HostStats, SandboxHistory
from sandtop.core.errors import ChannelError
from sandtop.core.fleet.state import State
from sandtop.core.fleet.watch.guest import usage_of
from sandtop.core.fleet.watch.meter import Meter
from sandtop.core.fleet.watch.readings import Reading, read
from sandtop.core.fleet.watch.ring import SLOT_SECONDS, SLOTS, Ring
from sandtop.core.fleet.watch.trouble import Troubles

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from sandtop.core.contract.core_events import SandboxStats
    from sandtop.core.fleet.context import Context
    from sandtop.core.fleet.sandbox import Sandbox

log = logging.getLogger(__name__)
TICK: Final = 1.0
"""Seconds between two looks at how late the core's event loop is."""
LIVE_SECONDS: Final = 2.0
"""Between two readings while somebody looks; else it is `SLOT_SECONDS`."""
_AGENT_SECONDS: Final = 1.5
"""How long somebody who looks waits for agents."""
_MOST_METERS: Final = 1024
"""Sandboxes of which figures are kept, the newest; each takes some 9 kB."""
_HOST: Final = 6


class Watch:
    """Run `run` for as long as there are sandboxes; ``sandboxes`` lists them."""

    def __init__(self, context: Context, sandboxes: Callable[[], Sequence[Sandbox]]) -> None:
        self._context = context
        self._sandboxes = sandboxes
        self._meters: dict[str, Meter] = {}
        self._host = Ring(_HOST)
        self._slots: deque[tuple[int, float]] = deque(maxlen=SLOTS)
        self._reading: Reading | None = None
        self._before: Reading | None = None
        self._slot_before: Reading | None = None
        self._late = self._latency = self._slot_late = 0.0
        self._followers = 0
        self._refused = ""
        self._lock = trio.Lock()
        self._news = trio.lowlevel.ParkingLot()
        self._troubles = Troubles()
        self.standing_by: Callable[[], int] = lambda: 0
        self.clients: Callable[[], int] = lambda: 0

    async def run(self) -> None:
        """Look, and look again, for as long as this is not cancelled."""
        due = trio.current_time()
        while True:
            due = max(due + TICK, trio.current_time())
            await trio.sleep_until(due)
            late = trio.current_time() - due
            self._late, self._slot_late = max(self._late, late), max(self._slot_late, late)
            self._troubles.look(self._sandboxes())
            every = LIVE_SECONDS if self._followers else SLOT_SECONDS
            if self._reading is None or due - self._reading.clock >= every - TICK / 2:
                await self._read_or_say()

    async def _read_or_say(self) -> None:
        """Read; that the host does not let us is no reason to end the core."""
        try:
            await self._read()
        except OSError as error:
            if (why := str(error)) != self._refused:
                log.warning("what is used cannot be read: %s", why)
                self._refused = why

    async def _read(self) -> None:
        """Raises OSError."""
        async with self._lock:
            sandboxes = self._sandboxes()[-_MOST_METERS:]
            machines = {each.row.uuid: each.machine.vm for each in sandboxes if each.machine is not None}
            overlays = {each.row.uuid: each.overlay for each in sandboxes}
            clock = trio.current_time()
            reading = await trio.to_thread.run_sync(
                read, self._context, machines, overlays, clock, abandon_on_cancel=True
            )
            self._before, self._reading = self._reading, reading
            self._latency, self._late = self._late, 0.0
            self._meters = {each.row.uuid: self._meters.get(each.row.uuid) or Meter() for each in sandboxes}
            for sandbox in sandboxes:
                meter = self._meters[sandbox.row.uuid]
                self._hear(sandbox, meter)
                meter.take(sandbox, reading)
            self._keep(reading, sandboxes)
        self._news.unpark_all()

    def _hear(self, sandbox: Sandbox, meter: Meter) -> None:
        if sandbox.machine is None or (said := sandbox.machine.link.measured) is None:
            return
        clock, raw = said
        if (usage := usage_of(raw)) is not None:
            meter.heard(clock, usage, sandbox.row.config.cpus)

    def _keep(self, reading: Reading, sandboxes: Sequence[Sandbox]) -> None:
        """Put it into the rings, once a slot."""
        slot = int(reading.clock / SLOT_SECONDS)
        if self._slots and slot <= self._slots[-1][0]:
            return
        self._slots.append((slot, reading.at))
        for sandbox in sandboxes:
            self._meters[sandbox.row.uuid].keep(sandbox, slot)
        running = sum(each.state is State.RUNNING for each in sandboxes)
        sessions = sum(each.sessions.running for each in sandboxes)
        used = reading.memory_total - reading.memory_available
        free = None if reading.room is None else reading.room.free
        cpu = _busy(self._slot_before, reading)
        self._host.put(slot, [cpu, used, free, running, sessions, self._slot_late])
        self._slot_before, self._slot_late = reading, 0.0

    # for those who look

    @asynccontextmanager
    async def followed(self) -> AsyncGenerator[None]:
        """While in this context, readings come every `LIVE_SECONDS`. The first is there when it is entered."""
        self._followers += 1
        try:
            reading = self._reading
            if reading is None or self._before is None or self._age(reading) > LIVE_SECONDS + TICK:
                await self._read()
                await trio.sleep(TICK)
                await self._read()
            yield
        finally:
            self._followers -= 1

    async def refresh(self) -> None:
        """Read, unless that was done a moment ago."""
        if self._reading is None or self._age(self._reading) >= LIVE_SECONDS:
            await self._read()

    def seconds(self) -> tuple[float, float]:
        """Processor time that was not idle since the host booted, and that the core took since it started."""
        reading = self._reading
        assert reading is not None
        return reading.busy_seconds, reading.core_seconds

    def _age(self, reading: Reading) -> float:
        return trio.current_time() - reading.clock

    async def next(self) -> None:
        """Return when there is another reading."""
        await self._news.park()

    async def ask(self, sandboxes: Sequence[Sandbox], *, sessions: bool) -> None:
        """Have the agents of ``sandboxes`` say what they use, with ``sessions`` each session, too; or a moment pass."""
        with trio.move_on_after(_AGENT_SECONDS):
            async with trio.open_nursery() as nursery:
                for sandbox in sandboxes:
                    if sandbox.state is State.RUNNING and sandbox.stands_still is None:
                        nursery.start_soon(self._ask, sandbox, sessions)

    async def _ask(self, sandbox: Sandbox, sessions: bool) -> None:
        machine, meter = sandbox.machine, self._meters.get(sandbox.row.uuid)
        if machine is None or meter is None or not machine.link.connected:
            return
        with suppress(ChannelError):
            await machine.link.ping(_AGENT_SECONDS, sessions=sessions)
        if sandbox.machine is machine:
            self._hear(sandbox, meter)

    def of(self, sandbox: Sandbox) -> SandboxStats | None:
        """What ``sandbox`` used when that was read last; None for one that is too new."""
        meter = self._meters.get(sandbox.row.uuid)
        return None if meter is None else meter.show(sandbox, trio.current_time())

    def host(self) -> tuple[float, HostStats]:
        """What the host had when that was read last, and when: seconds since the epoch. Only while `followed`."""
        reading = self._reading
        assert reading is not None
        sandboxes = self._sandboxes()
        states: dict[str, int] = {}
        for sandbox in sandboxes:
            states[sandbox.row.state] = states.get(sandbox.row.state, 0) + 1
        room, before = reading.room, self._before
        return reading.at, HostStats(
            cpu=_busy(before, reading),
            cpus=len(os.sched_getaffinity(0)),
            load=reading.load,
            memory=reading.memory_total - reading.memory_available,
            memory_total=reading.memory_total,
            disk_free=None if room is None else room.free,
            disk_total=None if room is None else room.total,
            disk_reserve=None if room is None else room.reserve,
            sandboxes=states,
            sessions=sum(each.sessions.running for each in sandboxes),
            standing_by=self.standing_by(),
            clients=self.clients(),
            latency=round(self._latency, 6),
            core_cpu=_share(before.core_seconds if before else None, reading.core_seconds, before, reading),
            core_memory=reading.core_memory,
        )

    def host_history(self, seconds: float, step: float) -> HostHistory:
        """The host's last ``seconds``, a value for each ``step`` seconds."""
        groups, at = self._groups(seconds, step)
        columns = self._host.columns(groups)
        return HostHistory(
            step=_step(step) * SLOT_SECONDS, at=at, cpu=columns[0], memory=columns[1], disk_free=columns[2],
            running=columns[3], sessions=columns[4], latency=columns[5],
        )  # fmt: skip

    def history(self, sandbox: Sandbox, seconds: float, step: float) -> SandboxHistory | None:
        """The same of ``sandbox``; None where there is none."""
        meter = self._meters.get(sandbox.row.uuid)
        if meter is None:
            return None
        groups, at = self._groups(seconds, step)
        columns = meter.ring.columns(groups)
        return SandboxHistory(
            sandbox=sandbox.name, uuid=sandbox.row.uuid, step=_step(step) * SLOT_SECONDS, at=at, cpu=columns[0],
            memory=columns[1], disk=columns[2], processes=columns[3], sessions=columns[4], output_rate=columns[5],
        )  # fmt: skip

    def _groups(self, seconds: float, step: float) -> tuple[list[list[int]], list[float]]:
        """The slots of the last ``seconds``, so many together as make a ``step``, and when each group ended."""
        if self._reading is None:
            return [], []
        begin, count = int((self._reading.clock - seconds) / SLOT_SECONDS), _step(step)
        groups: list[list[int]] = []
        at: list[float] = []
        for slot, time in self._slots:
            if slot <= begin:
                continue
            if groups and groups[-1][0] // count == slot // count:
                groups[-1].append(slot)
                at[-1] = round(time, 3)
            else:
                groups.append([slot])
                at.append(round(time, 3))
        return groups, at


def _step(seconds: float) -> int:
    """How many slots make ``seconds``."""
    return max(1, min(SLOTS, round(seconds / SLOT_SECONDS)))


def _busy(before: Reading | None, now: Reading) -> float | None:
    return _share(before.busy_seconds if before else None, now.busy_seconds, before, now)


def _share(earlier: float | None, later: float, before: Reading | None, now: Reading) -> float | None:
    """Percent of one processor that was taken between two readings."""
    if earlier is None or before is None or now.clock <= before.clock:
        return None
    return round(max(0.0, later - earlier) / (now.clock - before.clock) * 100, 1)
