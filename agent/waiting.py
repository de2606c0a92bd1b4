"""Which program is in a terminal's foreground, and whether it waits for somebody to type (/proc/PID, proc(5))."""

from __future__ import annotations

import os
import stat
import termios

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Literal

    from .cgroups import Cgroup
    from .loop import Loop, Timer
    from .terminal import Terminal

    Who = Literal["", "leader", "other"]
    """Which process waits: none, the session's first, or another in the foreground."""

QUIET: Final = 1.0
"""Seconds without output or input after which the first look is taken."""
_LATER: Final = 60.0
"""Seconds between two looks, at the most, at a program that is silent and does not wait."""
_TELL: Final = 0.05
"""Seconds after which the core is told that none waits any more, so that the echo of the key goes first."""
_PROCESSES: Final = 64
"""Processes of a session that are looked at, so that a fork bomb does not cost the agent more."""

_COMMAND: Final = 200
"""Characters of the foreground program's command line that are told."""

_CONSOLE: Final = os.makedev(5, 0)  # /dev/tty (devices.txt)
_READ: Final = (0, 19)  # read, readv (syscall_64.tbl)
_TIMEOUTS: Final = {7: 2, 232: 3, 281: 3}
"""poll, epoll_wait, epoll_pwait: the argument that holds the timeout in milliseconds; negative: none."""
_TIMES: Final = {23: 4, 270: 4, 271: 2}
"""select, pselect6, ppoll: the argument that points to the timeout; null: none."""


class Waiting:
    """Looks once there was no output or input for a while; calls ``changed`` when one of its attributes has changed.

    A process waits when it is in the terminal's foreground and in a read of the terminal. When the terminal is not in
    line mode (readline, an editor), a poll without a timeout counts, too. A server that waits for its network does
    neither.

    Attributes:
        who: which process waits.
        program: the command line of the foreground process group's first process; empty before the first look.
    """

    __slots__ = (
        "_cgroup",
        "_changed",
        "_leader",
        "_loop",
        "_pause",
        "_terminal",
        "_timer",
        "_touched",
        "program",
        "who",
    )

    def __init__(
        self, loop: Loop, terminal: Terminal, cgroup: Cgroup, leader: int, changed: Callable[[], None]
    ) -> None:
        self.who: Who = ""
        self.program = ""
        self._loop = loop
        self._terminal = terminal
        self._cgroup = cgroup
        self._leader = leader
        self._changed = changed
        self._pause = QUIET
        self._touched = False
        self._timer: Timer | None = loop.call_in(QUIET, self._look)

    def touched(self) -> None:
        """Output came, or input."""
        self._touched = True
        if self.who or self._pause > QUIET:
            self._loop.cancel(self._timer)
            self._pause = QUIET
            self._timer = self._loop.call_in(_TELL if self.who else QUIET, self._look)
        elif self._timer is None:
            self._timer = self._loop.call_in(QUIET, self._look)

    def end(self) -> None:
        """Look no more: the session is ending."""
        self._loop.cancel(self._timer)
        self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._touched:
            self._touched = False
            self._say("")
            self._timer = self._loop.call_in(QUIET, self._look)
            return
        self._say(self._find())
        if not self.who:
            self._pause = min(2 * self._pause, _LATER)
            self._timer = self._loop.call_in(self._pause, self._look)

    def _say(self, who: Who) -> None:
        said = (self.who, self.program)
        self.who, self.program = who, self._foreground()
        if (self.who, self.program) != said:
            self._changed()

    def _foreground(self) -> str:
        try:
            return command_of(self._terminal.foreground())
        except OSError:  # the terminal is closing
            return ""

    def _find(self) -> Who:
        try:
            group = self._terminal.foreground()
            by_line = bool(termios.tcgetattr(self._terminal.master)[3] & termios.ICANON)
        except (OSError, termios.error):
            return ""
        for count, pid in enumerate(self._cgroup.pids()):
            if count == _PROCESSES:
                break
            if waits(pid, group, self._terminal.device, by_line=by_line):
                return "leader" if pid == self._leader else "other"
        return ""


def command_of(pid: int) -> str:
    """The command line of process ``pid``, of a long one the beginning; empty when it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4 * _COMMAND).rstrip(b"\0").split(b"\0")
    except OSError:
        return ""
    return b" ".join(words).decode(errors="replace")[:_COMMAND]


def waits(pid: int, group: int, device: int, *, by_line: bool) -> bool:
    """Whether the process ``pid`` is in the foreground process ``group`` and waits for the terminal ``device``."""
    try:
        if os.getpgid(pid) != group:
            return False
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            words = file.read().split()
        if len(words) < 7:  # it runs, or is not in a system call
            return False
        number, arguments = int(words[0]), [int(word, 16) for word in words[1:7]]
        if number in _READ:
            facts = os.stat(f"/proc/{pid}/fd/{arguments[0]}")
            return stat.S_ISCHR(facts.st_mode) and facts.st_rdev in (device, _CONSOLE)
    except (OSError, ValueError):  # it has ended
        return False
    if by_line:
        return False
    if number in _TIMEOUTS:
        return bool(arguments[_TIMEOUTS[number]] & 0x80000000)
    return number in _TIMES and arguments[_TIMES[number]] == 0
