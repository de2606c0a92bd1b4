"""A cgroup (v2) for each session: to kill all its processes, to limit them, and to measure what they used."""

from __future__ import annotations

import os
import signal

from .cgroupfs import (
    ROOT,
    folders_of,
    is_populated,
    number_in,
    open_file,
    processes_of,
    read,
    read_open,
    remove_tree,
    set_frozen,
    signal_tree,
    write,
)
from .loop import URGENT

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from .loop import Loop, Timer

_CONTROLLERS: Final = ("cpu", "memory", "pids")
_GIVE_UP_AFTER: Final = 5.0
"""Seconds after which a session no longer waits for a killed process that does not end, as it hangs in the kernel."""
TIDY_AFTER: Final = 0.05
"""Seconds without a start or an end of a session after which cgroups are made and removed: not between two small
programs that a user runs one after the other."""
SPARE: Final = 8
"""Cgroups that are made ahead."""
_MOST_EMPTY: Final = 32
"""Empty cgroups from which on some are removed at once, however busy the agent is."""
_AGENT_WEIGHT: Final = "1000"
"""cpu.weight of the agent, ten times a session's: it must answer while a fork bomb goes off."""
_RESERVE: Final = 16 << 20
"""Bytes of memory that sessions cannot take. Without it a machine that runs out of memory keeps evicting the pages of
code that the agent and the kernel run, and reading them again, for half a minute and more before anything is killed."""


class Usage:
    """What the processes of a cgroup used: microseconds of CPU, and the peak of their memory in bytes (or None)."""

    __slots__ = ("cpu_us", "memory_peak")

    def __init__(self, cpu_us: int, memory_peak: int | None) -> None:
        self.cpu_us = cpu_us
        self.memory_peak = memory_peak


class Cgroups:
    """The agent's own cgroup, and the parent of all sessions' cgroups. Raises OSError when they cannot be made.

    To make and remove a cgroup takes a fifth of the time that a small program takes. So some are made ahead, and empty
    ones removed later, while no session begins or ends; one a turn of the loop, to keep turns short.
    """

    def __init__(self, loop: Loop, root: str = ROOT) -> None:
        self.loop = loop
        self._enable(root)
        own = f"{root}/agent"
        self.sessions = f"{root}/sessions"
        for path in (own, self.sessions):
            os.makedirs(path, exist_ok=True)
        self._processes = str(_quarter_of_threads())
        self._enable(self.sessions)
        if "cpu" in self._enabled:
            write(f"{own}/cpu.weight", _AGENT_WEIGHT)
        if "memory" in self._enabled:
            write(f"{self.sessions}/memory.max", str(_memory_for_sessions()))
        # kept open because each start of a program writes to it
        self._home = os.open(f"{own}/cgroup.procs", os.O_WRONLY)
        self.leave()
        self._cpu = open_file(f"{self.sessions}/cpu.stat")
        self._tasks = open_file(f"{self.sessions}/pids.current")
        self._count = 0
        self._spare = [self._make()]
        self._empty: list[Cgroup] = []
        self.killed: set[str] = set()
        """The paths of those of which a process was killed for want of memory, and not by the kernel."""
        self.ours: set[str] = set()
        """The paths of those in which the agent's own programs run."""
        self._busy: list[Cgroup] = []  # cannot be removed yet, because a killed process has not ended
        self._timer: Timer | None = None
        self._tidy_in(TIDY_AFTER)

    def _enable(self, path: str) -> None:
        available = read(f"{path}/cgroup.controllers").split()
        self._enabled = [name for name in _CONTROLLERS if name in available]
        write(f"{path}/cgroup.subtree_control", " ".join(f"+{name}" for name in self._enabled))

    def take(self) -> Cgroup:
        """A cgroup for a new session. Raises OSError."""
        cgroup = self._spare.pop() if self._spare else self._make()
        self._tidy_in(TIDY_AFTER)
        return cgroup

    def stock(self) -> None:
        """Make all that are to be made ahead now. Raises OSError."""
        while len(self._spare) < SPARE:
            self._spare.append(self._make())

    def _make(self) -> Cgroup:
        self._count += 1
        cgroup = Cgroup(self, f"{self.sessions}/{self._count}")
        if "pids" in self._enabled:
            write(f"{cgroup.path}/pids.max", self._processes)
        return cgroup

    def retire(self, cgroup: Cgroup) -> None:
        """Remove an empty cgroup when there is time."""
        self.killed.discard(cgroup.path)
        self.ours.discard(cgroup.path)
        self._empty += [*self._busy, cgroup]
        self._busy.clear()
        self._tidy_in(TIDY_AFTER if len(self._empty) < _MOST_EMPTY else 0)

    def _tidy_in(self, seconds: float) -> None:
        self.loop.cancel(self._timer)
        self._timer = self.loop.call_in(seconds, self._tidy)

    def _tidy(self) -> None:
        """Make or remove one cgroup, and come back if there is more to do."""
        self._timer = None
        if self._empty:
            cgroup = self._empty.pop(0)
            if not cgroup.remove():
                self._busy.append(cgroup)
        elif len(self._spare) < SPARE:
            try:
                self._spare.append(self._make())
            except OSError:
                return  # the next session meets the same error, and reports it
        else:
            return
        self._tidy_in(0)

    def leave(self) -> None:
        """Take the agent back into its own cgroup."""
        os.write(self._home, b"0")

    def kill_all(self) -> None:
        """Kill every process of every session."""
        write(f"{self.sessions}/cgroup.kill", "1")

    def freeze(self) -> None:
        """Let the programs of every session stand still. Those of the agent go on.

        An empty cgroup is none of a session yet: the agent will be in it itself for a moment, and must never freeze.
        """
        for path in folders_of(self.sessions):
            if path not in self.ours and is_populated(path):
                set_frozen(path, "1")

    def thaw(self) -> None:
        """Let every session go on."""
        for path in folders_of(self.sessions):
            set_frozen(path, "0")

    def signal_all(self, number: int) -> None:
        """Send a signal to every process of every session."""
        signal_tree(self.sessions, number)

    def populated(self) -> bool:
        """Whether any session has a process."""
        return is_populated(self.sessions)

    def usage(self) -> tuple[int, int]:
        """What all sessions together used, in microseconds of CPU, and how many processes and threads they have."""
        tasks = read_open(self._tasks).strip()
        return number_in(read_open(self._cpu), "usage_usec"), int(tasks) if tasks.isdecimal() else 0


class Cgroup:
    """One session's cgroup, at ``path``. Raises OSError when it cannot be made."""

    __slots__ = (
        "_cpu", "_done", "_events", "_family", "_over", "_peak", "_procs", "_tasks", "_timer", "_watched", "path",
    )  # fmt: skip

    def __init__(self, family: Cgroups, path: str) -> None:
        os.mkdir(path)
        self.path = path
        self._family = family
        # opened ahead too: to open one of the kernel's files takes several times as long as to read it
        self._procs = os.open(f"{path}/cgroup.procs", os.O_WRONLY)
        self._events = os.open(f"{path}/cgroup.events", os.O_RDONLY)
        self._cpu = open_file(f"{path}/cpu.stat")
        self._peak = open_file(f"{path}/memory.peak")
        self._watched = False
        self._timer: Timer | None = None
        self._done: Callable[[Usage], None] | None = None
        self._over: Callable[[], None] | None = None
        self._tasks = ("", 0)

    def enter(self) -> None:
        """Move the agent itself here, so that the program that it starts next begins here. Raises OSError."""
        os.write(self._procs, b"0")

    def kill(self) -> None:
        """Kill every process in it and in cgroups below it."""
        write(f"{self.path}/cgroup.kill", "1")

    def is_ours(self) -> None:
        """What runs in it is the agent's own."""
        self._family.ours.add(self.path)

    def freeze_others(self) -> None:
        """Let the programs of every other session stand still: see `Cgroups.freeze`."""
        self._family.freeze()

    def signal(self, number: int) -> None:
        """Send a signal to every process in it. SIGKILL reaches all at once, so that none escapes by forking."""
        if number == signal.SIGKILL:
            self.kill()
        else:
            signal_tree(self.path, number)

    def finish(self, done: Callable[[Usage], None], *, kill: bool) -> bool:
        """Call ``done`` with what was used as soon as no process is left in it; with ``kill`` kill those that are.

        Without ``kill``, while there are processes, nothing is done and False returned; see `leave`.
        """
        empty = self._is_empty()
        if not empty and not kill:
            return False
        self._done = done
        if empty:
            self._emptied()
            return True
        self._watch()
        self._timer = self._family.loop.call_in(_GIVE_UP_AFTER, self._give_up)
        self.kill()
        self._changed(0)
        return True

    def leave(self, over: Callable[[], None]) -> None:
        """Let its processes run on; call ``over`` and remove it when they have ended."""
        self._over = over
        self._watch()

    def _watch(self) -> None:
        self._watched = True
        self._family.loop.watch(self._events, URGENT, self._changed)

    def pids(self) -> Iterator[int]:
        """The processes in it, and in cgroups below it."""
        return processes_of(self.path)

    def processes(self) -> int:
        """How many processes are in it, and in cgroups below it."""
        tasks = read(f"{self.path}/pids.current")
        if (
            not tasks or tasks != self._tasks[0]
        ):  # with as many tasks as last time, the last count is used again
            self._tasks = tasks, sum(1 for _ in processes_of(self.path))
        return self._tasks[1]

    def oom_kills(self) -> int:
        """How many of its processes were killed for want of memory. To be asked before ``done`` of `finish` returns."""
        return number_in(read(f"{self.path}/memory.events"), "oom_kill") + (self.path in self._family.killed)

    def _changed(self, _events: int) -> None:
        if self._is_empty():
            self._family.loop.cancel(self._timer)
            self._emptied()

    def _is_empty(self) -> bool:
        # reading it also arms the notification of the next change
        return "populated 1" not in read_open(self._events)

    def _emptied(self) -> None:
        self._report()
        over, self._over = self._over, None
        if over is not None:
            over()
        self._family.retire(self)

    def _give_up(self) -> None:
        self._timer = None
        self._report()

    def _report(self) -> None:
        if self._done is not None:
            done, self._done = self._done, None
            done(self.usage())

    def usage(self) -> Usage:
        """What was used up to now."""
        peak = read_open(self._peak).strip()
        cpu_us = number_in(read_open(self._cpu), "usage_usec")
        return Usage(cpu_us, int(peak) if peak.isdecimal() else None)

    def tasks(self) -> int:
        """How many processes and threads are in it, and in cgroups below it."""
        tasks = read(f"{self.path}/pids.current").strip()
        return int(tasks) if tasks.isdecimal() else 0

    def memory(self) -> int:
        """Bytes of memory that its processes hold, without what the kernel can take back at once."""
        held = read(f"{self.path}/memory.current").strip()
        idle = number_in(read(f"{self.path}/memory.stat"), "inactive_file")
        return max(0, int(held) - idle) if held.isdecimal() else 0

    def _close(self) -> None:
        if self._watched:
            self._family.loop.unwatch(self._events)
            self._watched = False
        for fd in (self._procs, self._events, self._cpu, self._peak):
            if fd >= 0:
                os.close(fd)
        self._procs = self._events = self._cpu = self._peak = -1

    def remove(self) -> bool:
        """Remove it, with the empty cgroups that a program made in it. Whether it is gone."""
        self._close()
        try:
            os.rmdir(self.path)
        except FileNotFoundError:
            return True  # root in the sandbox may have removed it
        except OSError:
            return remove_tree(self.path)
        return True


def _memory_for_sessions() -> int:
    """Bytes of memory that all sessions together may use: what is free now, less the reserve."""
    for line in read("/proc/meminfo").split("\n"):
        if line.startswith("MemAvailable:"):
            return max(_RESERVE, int(line.split()[1]) * 1024 - _RESERVE)
    return _RESERVE


def _quarter_of_threads() -> int:
    """How many processes and threads one session may have, so that a fork bomb leaves room for others."""
    threads = read("/proc/sys/kernel/threads-max").strip()
    return max(256, int(threads) // 4) if threads.isdecimal() else 1024
