"""Turning the machine off, with a disk whose file system is clean."""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, NoReturn

    from .cgroups import Cgroups
    from .loop import Loop

_LOOK: Final = 0.02
_AFTER_KILL: Final = 3.0
"""Seconds for killed processes to be gone, and for the core to take their last output and records."""
_TOOL_DEADLINE: Final = 5.0
_SYSRQ: Final = "/proc/sysrq-trigger"


class Shutdown:
    """Sends SIGTERM to all processes, SIGKILL after the grace period, then calls ``power_off``."""

    def __init__(self, loop: Loop, cgroups: Cgroups, power_off: Callable[[], None]) -> None:
        self.begun = False
        self._loop = loop
        self._cgroups = cgroups
        self._power_off = power_off
        self._told: Callable[[], bool] | None = None
        self._deadline = 0.0
        self._killed = False

    def begin(self, grace_ms: int, told: Callable[[], bool]) -> None:
        """Begin. ``told`` says whether the core has stored the output and the exit record of every session."""
        if self.begun:
            return
        self.begun = True
        self._told = told
        self._deadline = self._loop.now() + grace_ms / 1000
        self._cgroups.signal_all(signal.SIGTERM)
        self._loop.soon(self._look)

    def _look(self) -> None:
        late = self._loop.now() >= self._deadline
        if self._cgroups.populated():
            if late and self._killed:
                self._power_off()
            elif late:
                self._kill()
        elif late or self._told is None or self._told():
            self._power_off()
        elif not self._killed:
            self._kill()
        self._loop.call_in(_LOOK, self._look)

    def _kill(self) -> None:
        self._killed = True
        self._deadline = self._loop.now() + _AFTER_KILL
        self._cgroups.kill_all()


def power_off(runtime: int) -> NoReturn:
    """Leave the sandbox's disk clean and turn the machine off. ``runtime`` is a descriptor of the runtime's root."""
    os.sync()
    os.fchdir(runtime)
    os.chroot(".")
    # no process writes any more: what the kernel still has in memory is written, and the file systems marked clean
    for place in disks():
        _run("mount", "-o", "remount,ro", place)
    _run("poweroff", "-f")
    force_off()


def disks(mounts: str = "/proc/mounts") -> list[str]:
    """Where disks are mounted: the sandbox's own, and volumes."""
    with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.split(" ") for line in file]
    return [_unescaped(fields[1]) for fields in lines if len(fields) > 2 and fields[2] == "ext4"]


def _unescaped(place: str) -> str:
    """A path of /proc/mounts (proc(5)): blanks and backslashes are in octal there."""
    first, *rest = place.split("\\")
    return first + "".join(chr(int(each[:3], 8)) + each[3:] for each in rest)


def force_off() -> NoReturn:
    """Turn the machine off by magic SysRq (sync, remount read-only, power off): for an agent that has failed."""
    for key in (b"s", b"u", b"o"):
        with open(_SYSRQ, "wb", buffering=0) as file:
            file.write(key)
        time.sleep(0.2)  # the kernel does each in the background, and does not tell when it is done
    time.sleep(_TOOL_DEADLINE)
    os._exit(1)  # the kernel panics when process 1 ends, if it still runs


def _run(*arguments: str) -> None:
    pid = os.posix_spawn("/bin/busybox", ["busybox", *arguments], {})
    deadline = time.monotonic() + _TOOL_DEADLINE
    while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.002)
