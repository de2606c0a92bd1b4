"""The programs of a guest without a kernel: a few words, on the agent's clock and on real pipes.

They stand where the agent has process 1's children: `Programs` is its cgroups, its reaper and its way to start a
program, all in one, because here nothing lies between them. What runs is

    true, false         end at once, with 0 and 1
    sleep SECONDS       ends then, or by a signal
    stubborn SECONDS    the same, but SIGTERM does not end it
    echo WORDS          writes them, and ends

and everything else is not found; of the agent's own programs there is the one that mounts (`mounts`). All have the pid
that no process of the host can have (PID_MAX_LIMIT, proc(5)), so that no signal of the agent's ever reaches one.
"""

from __future__ import annotations

import errno
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from sandtop.agent.cgroups import Usage
from sandtop.agent.spawn import Plan, SpawnFailed
from sandtop.core.machine.memory.mounts import Disks, MountServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sandtop.agent.cgroups import Cgroup, Cgroups
    from sandtop.agent.loop import Loop, Timer

_PID: Final = 1 << 22
_MOST_SECONDS: Final = 1e9
_USAGE: Final = Usage(1000, 1 << 20)
"""What each is taken to have used."""


class _Program:
    """One that runs, with its ends of the pipes."""

    __slots__ = ("ended", "group", "stdio", "stubborn", "timer")

    def __init__(self, group: Group, stdio: tuple[int, ...], *, stubborn: bool) -> None:
        self.group = group
        self.stdio = stdio
        self.stubborn = stubborn
        self.timer: Timer | None = None
        self.ended: Callable[[int], None] = _nobody


def _nobody(_status: int) -> None:
    """Told of an end that nobody waits for."""


class Group:
    """The programs of one session: what `sandtop.agent.cgroups.Cgroup` is where there is a kernel."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._done: Callable[[], None] | None = None
        self._over: Callable[[], None] | None = None
        self.members: list[_Program] = []

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        for program in list(self.members):
            self._programs.signal(program, number)

    def finish(self, done: Callable[[Usage], None], *, kill: bool) -> bool:
        if self.members and not kill:
            return False
        self._done = lambda: done(_USAGE)
        self.kill()
        self.look()
        return True

    def leave(self, over: Callable[[], None]) -> None:
        self._over = over

    def look(self) -> None:
        """Tell who waits for it once nothing is left."""
        if self.members:
            return
        for tell in (self._done, self._over):
            if tell is not None:
                tell()
        self._done = self._over = None

    def pids(self) -> Iterator[int]:
        return (_PID for _ in self.members)

    def processes(self) -> int:
        return len(self.members)

    def oom_kills(self) -> int:
        return 0

    def usage(self) -> Usage:
        return _USAGE

    def tasks(self) -> int:
        return len(self.members)

    def memory(self) -> int:
        return _USAGE.memory_peak or 0


class Programs:
    """All programs of one guest."""

    def __init__(self, loop: Loop) -> None:
        self.disks = Disks()
        self._loop = loop
        self._running: list[_Program] = []

    # for the agent's cgroups

    def take(self) -> Group:
        return Group(self)

    def signal_all(self, number: int) -> None:
        for program in list(self._running):
            self.signal(program, number)

    def kill_all(self) -> None:
        self.signal_all(signal.SIGKILL)

    def populated(self) -> bool:
        return bool(self._running)

    def usage(self) -> tuple[int, int]:
        return _USAGE.cpu_us * len(self._running), len(self._running)

    # for its reaper

    def expect(self, _pid: int, ended: Callable[[int], None]) -> None:
        """Of the program that was started last: whoever starts one asks at once."""
        self._running[-1].ended = ended

    def look(self) -> None:
        """Ends are told as soon as there are any."""

    # for its way to start a program

    def spawn(self, plan: Plan, cgroup: Cgroup, _cgroups: Cgroups) -> int:
        """The pid of the program of ``plan``. Raises `SpawnFailed` for one that there is not."""
        group = cast("Group", cast("object", cgroup))  # made by `take`
        seconds, status, output = _behaviour(plan.argv)
        stdio = tuple(os.dup(end) for end in plan.stdio[1:] if end >= 0)
        program = _Program(group, stdio, stubborn=plan.argv[0] == "stubborn")
        self._running.append(program)
        group.members.append(program)
        if output and stdio:
            os.write(stdio[0], output)
        program.timer = self._loop.call_in(seconds, lambda: self._end(program, status << 8))
        return _PID

    def fork(
        self, plan: Plan, fields: Mapping[str, object], cgroup: Cgroup, _runtime: int, _root: str
    ) -> int:
        """The pid of the agent's own program that ``fields`` describe. Raises `SpawnFailed`."""
        if fields.get("name") != "mounts":
            raise SpawnFailed(
                "exec", errno.ENOSYS, f"builtin: a guest in memory has no {fields.get('name')!r}"
            )
        group = cast("Group", cast("object", cgroup))
        stdio = tuple(os.dup(end) for end in plan.stdio)
        program = _Program(group, stdio, stubborn=False)
        self._running.append(program)
        group.members.append(program)
        MountServer(self._loop, self.disks, stdio[0], stdio[1], lambda: self._end(program, 0))
        return _PID

    def signal(self, program: _Program, number: int) -> None:
        """Every signal ends a program, but SIGTERM a stubborn one."""
        if program in self._running and not (program.stubborn and number == signal.SIGTERM):
            self._end(program, number)

    def _end(self, program: _Program, status: int) -> None:
        self._loop.cancel(program.timer)
        self._running.remove(program)
        program.group.members.remove(program)
        _close(program)
        # as a reaper does it: in a turn of its own, never inside the call that ended the program
        self._loop.soon(lambda: program.ended(status))
        self._loop.soon(program.group.look)

    def close(self) -> None:
        """The machine is gone, and all that ran in it."""
        for program in self._running:
            _close(program)
        self._running.clear()


def _close(program: _Program) -> None:
    for end in program.stdio:
        with suppress(OSError):
            os.close(end)


def _behaviour(argv: list[str]) -> tuple[float, int, bytes]:
    """Seconds that it runs, its exit status, and what it writes."""
    match argv:
        case ["true"]:
            return 0.0, 0, b""
        case ["false"]:
            return 0.0, 1, b""
        case ["echo", *words]:
            return 0.0, 0, f"{' '.join(words)}\n".encode()
        case [("sleep" | "stubborn"), seconds] if seconds.replace(".", "", 1).isdecimal():
            return min(float(seconds), _MOST_SECONDS), 0, b""
        case _:
            raise SpawnFailed("exec", errno.ENOENT, f"cannot run {argv[0]}: {os.strerror(errno.ENOENT)}")
