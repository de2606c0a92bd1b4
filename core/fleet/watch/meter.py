"""One sandbox's figures: rates out of counters, the highest of a peak, and an hour of the past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.contract.core_events import SandboxStats, SessionStats
from sandtop.core.fleet.watch.ring import Ring

if TYPE_CHECKING:
    from sandtop.core.fleet.sandbox import Sandbox
    from sandtop.core.fleet.watch.guest import GuestUsage
    from sandtop.core.fleet.watch.readings import Reading
    from sandtop.core.machine import Usage

MIB: Final = 1 << 20
_STALE: Final = 30.0
"""Seconds after which what an agent said last is not known any more."""
COLUMNS: Final = ("cpu", "memory", "disk", "processes", "sessions", "output_rate")
"""What is kept of the past, in the order of `SandboxHistory`."""


@dataclass(frozen=True, slots=True)
class _Counters:
    """What only grows: seconds of the host's processors, and bytes of output, at a time of the core's clock."""

    clock: float
    cpu_seconds: float | None
    output_bytes: int


@dataclass(slots=True)
class _Guest:
    """What the agent said last, and what had been said before that."""

    clock: float
    usage: GuestUsage
    cpu: float | None = None
    by_session: list[SessionStats] | None = None


class Meter:
    """The figures of one sandbox; ``machine`` tells one machine of it from the next.

    Attributes:
        ring: those of the last hour.
    """

    def __init__(self) -> None:
        self.ring = Ring(len(COLUMNS))
        self._machine: int | None = None
        self._live: _Counters | None = None
        self._slot: _Counters | None = None
        self._guest: _Guest | None = None
        self._peak: int | None = None
        self._usage: Usage | None = None
        self._disk: int | None = None
        self._rates: tuple[float | None, float | None] = (None, None)

    def heard(self, clock: float, usage: GuestUsage, cpus: int) -> None:
        """The agent said ``usage`` at the time ``clock`` of its guest's ``cpus`` processors."""
        before = self._guest
        if before is not None and clock <= before.clock:
            return
        told = _Guest(clock, usage)
        if before is not None and clock - before.clock < _STALE:
            told.cpu = _guest_percent(before.usage.cpu_us, usage.cpu_us, before.usage, usage, cpus)
        if usage.sessions:
            told.by_session = []
            for key, its in usage.sessions.items():
                earlier = before.usage.sessions.get(key) if before is not None else None
                cpu = None
                if before is not None and earlier is not None:
                    cpu = _guest_percent(earlier.cpu_us, its.cpu_us, before.usage, usage, cpus)
                told.by_session.append(
                    SessionStats(
                        id=key,
                        cpu=cpu,
                        cpu_seconds=its.cpu_us / 1e6,
                        memory=its.memory,
                        processes=its.processes,
                    )
                )
        self._guest = told

    def take(self, sandbox: Sandbox, reading: Reading) -> None:
        """Take what was read of ``sandbox``."""
        if (machine := _machine_of(sandbox)) != self._machine:
            self._begin(machine)
        self._usage, self._disk = reading.machines.get(sandbox.row.uuid), reading.disks.get(sandbox.row.uuid)
        seconds = None if self._usage is None else self._usage.cpu_seconds
        now = _Counters(reading.clock, seconds, sandbox.sessions.listener.output_bytes)
        self._rates, self._live = _rates(self._live, now), now

    def _begin(self, machine: int | None) -> None:
        """Begin anew: the sandbox has another machine, or none."""
        self._machine, self._live, self._slot, self._guest, self._peak = machine, None, None, None, None
        self._usage, self._rates = None, (None, None)

    def show(self, sandbox: Sandbox, clock: float) -> SandboxStats:
        """The figures at the time ``clock``; of a machine that is gone, or came since, those without one."""
        if self._machine != _machine_of(sandbox):
            self._begin(_machine_of(sandbox))
        guest = self._guest if self._guest is not None and clock - self._guest.clock < _STALE else None
        memory, usage, config = self._memory(sandbox, guest), self._usage, sandbox.row.config
        return SandboxStats(
            sandbox=sandbox.name,
            uuid=sandbox.row.uuid,
            state=sandbox.row.state,
            cpu=self._rates[0],
            cpu_seconds=None if usage is None else usage.cpu_seconds,
            guest_cpu=None if guest is None else guest.cpu,
            cpus=config.cpus,
            memory=memory,
            memory_limit=config.memory * MIB,
            memory_peak=self._peak,
            host_memory=None if usage is None else usage.memory,
            disk=self._disk,
            disk_size=config.disk * MIB,
            processes=None if guest is None else guest.usage.processes,
            sessions=sandbox.sessions.running,
            output_rate=self._rates[1],
            output_bytes=sandbox.sessions.listener.output_bytes,
            by_session=None if guest is None else guest.by_session,
        )

    def _memory(self, sandbox: Sandbox, guest: _Guest | None) -> int | None:
        if guest is None:
            return None
        memory = min(guest.usage.memory, sandbox.row.config.memory * MIB)
        self._peak = max(self._peak or 0, memory)
        return memory

    def keep(self, sandbox: Sandbox, slot: int) -> None:
        """Put the figures since the last slot into the ring."""
        if (now := self._live) is None:
            return
        cpu, rate = _rates(self._slot, now)
        self._slot, stats = now, self.show(sandbox, now.clock)
        self.ring.put(slot, [cpu, stats.memory, stats.disk, stats.processes, stats.sessions, rate])


def _machine_of(sandbox: Sandbox) -> int | None:
    """What tells one machine of a sandbox from the next."""
    return None if sandbox.machine is None else sandbox.machine.vm.identity.pid


def _rates(before: _Counters | None, now: _Counters) -> tuple[float | None, float | None]:
    """Percent of a processor, and bytes of output a second."""
    if before is None or now.clock <= before.clock:
        return None, None
    seconds = now.clock - before.clock
    cpu = None
    if before.cpu_seconds is not None and now.cpu_seconds is not None:
        cpu = _percent(before.cpu_seconds, now.cpu_seconds, seconds)
    return cpu, round(max(0, now.output_bytes - before.output_bytes) / seconds, 1)


def _percent(before: float, now: float, seconds: float) -> float:
    return round(max(0.0, now - before) / seconds * 100, 1) if seconds > 0 else 0.0


def _guest_percent(earlier: int, later: int, before: GuestUsage, now: GuestUsage, cpus: int) -> float:
    """Percent of one of the guest's processors, by its own clock; of one that counts wrongly no more than all."""
    return min(_percent(earlier, later, now.clock_us - before.clock_us), cpus * 100.0)
