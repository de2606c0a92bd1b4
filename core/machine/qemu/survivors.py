"""The machines that run on this host, found by their processes: to adopt one of an earlier core, or to kill some."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import MachineError
from sandtop.core.machine import procfs
from sandtop.core.machine.qemu.process import KILL_DEADLINE, MachineProcess
from sandtop.core.machine.records import Identity, Running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_EXEC_SECONDS: Final = 1.0
"""How long a process may be without a command line, which it is for microseconds on an idle host."""
_EXEC_LOOK_MS: Final = 1


def running() -> Iterator[Running]:
    """The machines on this host: every process that was started with a sandbox's uuid, as QEMU is. Blocks."""
    for pid in procfs.pids():
        with suppress(OSError, ValueError, IndexError):
            words = procfs.arguments(pid)
            yield Running(words[words.index("-uuid") + 1], pid)


def kill_all(which: Callable[[Running], bool], deadline: float = KILL_DEADLINE) -> list[Running]:
    """SIGKILL to each machine on this host that ``which`` picks; they are returned. Blocks.

    Waits until they are gone, or for ``deadline`` seconds: the kernel may hold one on a broken disk.
    """
    picked = [found for found in running() if which(found)]
    dying = select.poll()
    with ExitStack() as stack:
        left = 0
        for found in picked:
            with suppress(ProcessLookupError):
                pidfd = os.pidfd_open(found.pid)
                stack.callback(os.close, pidfd)
                if found.uuid not in arguments(found.pid, pidfd):  # the pid is another's by now
                    continue
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                dying.register(pidfd, select.POLLIN)
                left += 1
        end = time.monotonic() + deadline
        while left and (patience := end - time.monotonic()) > 0:
            for pidfd, _ in dying.poll(patience * 1000):
                dying.unregister(pidfd)
                left -= 1
    return picked


def arguments(pid: int, pidfd: int) -> list[str]:
    """The command line of ``pid``. A process that lives has none for a moment in each execve(2), of which a start
    takes three: that is waited out. Empty when it has ended."""
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    end = time.monotonic() + _EXEC_SECONDS
    while not (words := procfs.arguments(pid)) and time.monotonic() < end and not ended.poll(_EXEC_LOOK_MS):
        pass
    return words


def adopt(identity: Identity, name: str) -> MachineProcess:
    """The process that ``identity`` tells of, launched by an earlier core. ``name``: the sandbox's, for errors.

    Looks at the boot id, the start time and the uuid on the command line; the caller has yet to ask QMP's
    ``query-uuid``. Raises `MachineError` when that process is gone, or when its pid is another's now.
    """
    gone = MachineError("QEMU is gone", sandbox=name)
    if identity.boot_id != procfs.boot_id():
        raise MachineError("the host has rebooted", sandbox=name)
    try:
        # first the pidfd, then the questions: their answers are about the process that it holds
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError as error:
        raise gone from error
    try:
        same = procfs.start_time(identity.pid) == identity.start_time
        if not same or identity.uuid not in arguments(identity.pid, pidfd):
            raise gone
        stderr = None
        with suppress(OSError):  # only messages are lost
            stderr = os.open(f"/proc/{identity.pid}/fd/2", os.O_RDONLY | os.O_CLOEXEC)
        return MachineProcess(identity, name, pidfd, stderr)
    except BaseException:
        os.close(pidfd)
        raise
