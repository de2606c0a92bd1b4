"""Programs that do nothing but read their own code again: one is killed, which the kernel by itself does late.

A program that takes the last memory loses the pages of code that it runs, and reads each again a moment later. To the
kernel each that it could drop is progress, so it kills nobody: for a minute and more a program was seen to go on by
inches with 34 pages of 32,000. But the kernel measures the time that is lost so (Documentation/accounting/psi.rst).
"""

from __future__ import annotations

import os
import signal

from .cgroupfs import folders_of, processes_of
from .loop import URGENT

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from .cgroups import Cgroups
    from .loop import Loop

_TRIGGER: Final = b"some 300000 1000000"
"""Report each second (1,000,000 µs) of which some process waited 300,000 µs or more for memory. In the worst case seen
it was 400,000 to 500,000; the rest of the second went into unpacking what was read. ``full``, the time in which all
processes wait, would not do: a program that computes meanwhile hides it."""
_TOGETHER: Final = 3.0
"""Seconds between two such reports, at the most, for them to count as one spell after the other."""
_LEFT: Final = 2 << 20
"""While more bytes of files than this are in memory, programs go on, if slowly: nothing is killed."""
_READ_AGAIN: Final = 1 << 20
"""Bytes of files that were dropped and read again between two reports, at the least: a program that reads or writes
much that is new is not killed."""
_SHARE: Final = 32
"""The process that is killed holds at least one part of so many of the memory that cannot be read again."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Thrashing:
    """Kills the largest process of all sessions when the sessions do nothing but read their own code again.

    That is so when the kernel reports twice within a few seconds that a large part of a second was lost, next to
    nothing of files is in memory, and at least as much was read again in between. Raises OSError where the kernel does
    not measure lost time.
    """

    def __init__(self, loop: Loop, cgroups: Cgroups) -> None:
        self._loop = loop
        self._cgroups = cgroups
        self._stat = os.open(f"{cgroups.sessions}/memory.stat", os.O_RDONLY)
        self._pressure = os.open(f"{cgroups.sessions}/memory.pressure", os.O_RDWR | os.O_NONBLOCK)
        os.write(self._pressure, _TRIGGER)
        self._spells = Spells()
        loop.watch(self._pressure, URGENT, self._pressed)

    def _pressed(self, _events: int) -> None:
        try:
            used = Used(os.pread(self._stat, 65536, 0))
        except OSError:  # root in the sandbox has removed the cgroup
            self._loop.unwatch(self._pressure)
            return
        if self._spells.hopeless(self._loop.now(), used):
            self._kill(used.anonymous // _SHARE)

    def _kill(self, least: int) -> None:
        """Kill the largest process, if it holds ``least`` bytes."""
        size, pid, path = max(_sizes(self._cgroups.sessions), default=(0, 0, ""))
        if size < least:  # the kernel was faster, and only bystanders are left
            return
        self._cgroups.killed.add(path)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return


class Spells:
    """The spells in which much time was lost, one after the other."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None

    def hopeless(self, now: float, used: Used) -> bool:
        """Whether programs only run in circles since the spell before. ``now`` (seconds) is the end of another one."""
        last, self._last = self._last, (now, used.read_again)
        if last is None or now - last[0] > _TOGETHER or used.files > _LEFT:
            return False
        if used.read_again - last[1] < max(used.files, _READ_AGAIN):
            return False
        self._last = None  # whoever is killed needs a moment to end
        return True


class Used:
    """What a ``memory.stat`` says, in bytes.

    Attributes:
        anonymous: what is not of files, and so cannot be read again.
        files: what is held of files.
        read_again: what was read of files after it had been dropped, ever.
    """

    def __init__(self, stat: bytes) -> None:
        table = {name: int(value) for name, value in (line.split() for line in stat.splitlines())}
        self.anonymous = table[b"anon"]
        self.files = table[b"active_file"] + table[b"inactive_file"]
        self.read_again = table[b"workingset_refault_file"] * _PAGE


def _sizes(sessions: str) -> Iterator[tuple[int, int, str]]:
    """For each process of all sessions: the bytes that it holds, its pid, and its session's cgroup."""
    for path in folders_of(sessions):
        for pid in processes_of(path):
            try:
                with open(f"/proc/{pid}/statm", "rb") as file:
                    yield int(file.read(256).split()[1]) * _PAGE, pid, path
            except (OSError, IndexError):  # it has ended
                continue
