"""The QEMU process of one machine: started, watched, and killed. A later core finds it again by `survivors`.

A machine outlives the core that launched it. What identifies it for good is (pid, start time, host boot id); a pid
alone may be somebody else's by tomorrow. Everything after the launch goes through a pidfd, which cannot come to
mean another process (pidfd_open(2)).
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import trio

from sandtop.core import open_files
from sandtop.core.errors import MachineError, MissingDependency
from sandtop.core.machine import procfs
from sandtop.core.machine.qemu.commandline import CommandLine, Role, command_line, needed
from sandtop.core.machine.qemu.descriptors import Descriptors, remove_runtime
from sandtop.core.machine.qemu.emulation import EMULATION, Emulation
from sandtop.core.machine.qemu.users import kvm_groups, machine_uid
from sandtop.core.machine.qemu.vsock import take_cid
from sandtop.core.machine.records import Identity
from sandtop.core.machine.spec import Accelerator, MachineSpec
from sandtop.core.machine.text import last_lines

if TYPE_CHECKING:
    from types import TracebackType

STDERR_BYTES: Final = 64 * 1024
"""What QEMU may say, in all. It is the start that is kept: a guest that provokes warnings cannot fill anything."""

OOM_SCORE_ADJ: Final = 500
"""When the host runs out of memory a machine goes before the core and the user's own programs do (-1000..1000)."""

NICENESS: Final = 5
"""How far a machine steps back behind the core and the console on a busy host, as the screen worker does.

For the process (nice(1)), which counts among those of one session, and for its session (sched(7), autogroup), which
counts against others where the kernel groups them. With two machines that flood two panes, on two processors, a key
press in the console was on its screen after 36 to 46 ms (p95, three runs) instead of 52 to 59. Of the process alone it
is not enough there: 46 to 64 instead of 68 to 86, at another hour.
"""

OPEN_FILES: Final = 1024
"""QEMU has some forty descriptors open, and one more for each connection of a guest's user-mode network."""

KILL_DEADLINE: Final = 5.0
"""Seconds for the kernel to tear a killed machine down."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a machine's process ended.

    Attributes:
        status: what it exited with; None when a signal ended it, or when that is not known.
        signal: the number of the signal that ended it; None likewise. Both are None for a machine that this core
            adopted: only a parent learns them.
        out_of_memory: the kernel killed something for want of memory while this machine ran; a guess at a cause.
        stderr: the last lines that QEMU wrote, fit for a terminal.
        orderly: the guest switched itself off, or QEMU was told to quit.
        cause: what the guest or QEMU's monitor said of it, one line; the process alone does not know.
    """

    status: int | None
    signal: int | None
    out_of_memory: bool
    stderr: str
    orderly: bool = False
    cause: str | None = None

    @property
    def reason(self) -> str:
        """One line for people."""
        if self.cause is not None:
            return self.cause
        lines = self.stderr.splitlines()
        # QEMU's messages begin with its name; what follows one may be a hint in a line of its own
        messages = [line for line in lines if line.startswith("qemu")] or lines
        said = f": {messages[-1]}" if messages else ""
        memory = ", perhaps by the kernel, which ran out of memory" if self.out_of_memory else ""
        if self.signal is not None:
            return f"QEMU was killed by {_signal_name(self.signal)}{memory}{said}"
        if self.status is None:
            return f"QEMU is gone{memory}{said}"
        if self.status == 0:
            return f"the machine ended by itself{said}"
        return f"QEMU exited with status {self.status}{said}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class MachineProcess:
    """A running, or just dead, QEMU. A context manager that closes our descriptors; the machine is not touched."""

    def __init__(self, identity: Identity, name: str, pidfd: int, stderr: int | None) -> None:
        """Takes the descriptors over. ``name`` is the sandbox's, for errors; ``stderr`` what QEMU writes to."""
        self.identity = identity
        self.name = name
        self._pidfd = pidfd
        self._stderr = stderr
        self._oom_kills = procfs.oom_kills()
        self._ended: tuple[int | None, int | None] | None = None
        self._outlived_its_kill = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptors back. The process, if it lives, goes on; one that was killed is reaped in the end."""
        if self._outlived_its_kill and self._pidfd >= 0:
            # a task of trio's own, which ends with its run: init reaps what this process leaves
            trio.lowlevel.spawn_system_task(_reap_later, os.dup(self._pidfd))
        for descriptor in (self._pidfd, self._stderr):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self._pidfd, self._stderr = -1, None

    @property
    def arguments(self) -> list[str]:
        """The command line that it really runs with; empty once it is dead."""
        return [word for word in procfs.arguments(self.identity.pid) if word] if self.alive else []

    @property
    def alive(self) -> bool:
        """Whether the process still runs; does not wait."""
        return not _readable(self._pidfd)

    def stderr_tail(self, lines: int = 10) -> str:
        """The last lines that QEMU wrote to stderr, fit for a terminal; empty when an adopted one's is out of reach."""
        if self._stderr is None:
            return ""
        return last_lines(os.pread(self._stderr, STDERR_BYTES, 0).rstrip(b"\0"), lines)

    async def wait(self) -> Exit:
        """Wait, as long as it takes, for the process to end. Leaves no zombie if it is our child."""
        # a duplicate, because trio lets only one task wait for a descriptor
        pidfd = os.dup(self._pidfd)
        try:
            await trio.lowlevel.wait_readable(pidfd)
        finally:
            os.close(pidfd)
        status, number = self._reap()
        killed = number == signal.SIGKILL or (status is None and number is None)
        return Exit(status, number, killed and procfs.oom_kills() > self._oom_kills, self.stderr_tail())

    async def kill(self, deadline: float = KILL_DEADLINE) -> Exit:
        """SIGKILL, and see that the process is gone. Raises `MachineError` if it is not after ``deadline`` seconds."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        with trio.move_on_after(deadline):
            return await self.wait()
        self._outlived_its_kill = True
        raise MachineError(
            f"QEMU (pid {self.identity.pid}) does not die {deadline:g} s after SIGKILL",
            sandbox=self.name,
            hint="the host's kernel holds it, perhaps on a broken disk: see its state in /proc",
        )

    def _reap(self) -> tuple[int | None, int | None]:
        """The (exit status, signal) of the dead process, each None when not known."""
        if self._ended is None:
            self._ended = (None, None)
            result = _status(self._pidfd)
            if result is not None:
                exited = result.si_code == os.CLD_EXITED
                self._ended = (result.si_status, None) if exited else (None, result.si_status)
        return self._ended


def _status(pidfd: int) -> os.waitid_result | None:
    """How our dead child ended, and no zombie any more; None for one that a core before us launched: init reaps it."""
    with suppress(ChildProcessError):
        return os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    return None


async def _reap_later(pidfd: int) -> None:
    """Take the status of a child that nobody waits for any more, so that no zombie stays. Closes ``pidfd``."""
    try:
        await trio.lowlevel.wait_readable(pidfd)
        _status(pidfd)
    finally:
        os.close(pidfd)


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


async def launch(
    spec: MachineSpec,
    runtime: Path,
    *,
    qemu: Path,
    emulation: Emulation = EMULATION,
    tied: int | None = None,
) -> MachineProcess:
    """Start QEMU for ``spec`` with its processors standing still: QMP's ``cont`` lets them run.

    ``runtime`` becomes the folder of its sockets; what an earlier machine left there is removed. ``qemu`` is the
    program. Returns when it has been executed, which is before it has looked at its arguments: if they do not
    please it the process ends soon. A machine goes on when this process ends; with ``tied`` the kernel ends it with
    this thread, and after so many seconds of processor time. Raises `MissingDependency`, `MachineError` or
    `StorageError`; nothing is left behind then.
    """
    if (
        tied is not None
    ):  # on this thread: it is that of the thread that forked by whose end PR_SET_PDEATHSIG goes
        return _launch(spec, runtime, qemu, emulation, tied)
    # fork copies the core's page tables, and opening files may wait for a disk: not on the event loop
    return await trio.to_thread.run_sync(partial(_launch, spec, runtime, qemu, emulation))


def _launch(
    spec: MachineSpec, runtime: Path, qemu: Path, emulation: Emulation, tied: int | None = None
) -> MachineProcess:
    uid = machine_uid(spec.uuid)
    remove_runtime(runtime)
    stderr = _bounded_file()
    try:
        with Descriptors(needed(spec, runtime), spec.name, reader=uid) as descriptors:
            vsock = descriptors.numbers.get(Role.VSOCK)
            cid = None if vsock is None else take_cid(vsock, spec.name)
            command = command_line(
                spec, runtime, qemu=str(qemu), numbers=descriptors.numbers, cid=cid, emulation=emulation
            )
            return _spawn(command, spec, uid, stderr, tied, cid)
    except BaseException:
        os.close(stderr)
        remove_runtime(runtime)
        raise


def _spawn(
    command: CommandLine, spec: MachineSpec, uid: int | None, stderr: int, tied: int | None, cid: int | None
) -> MachineProcess:
    kvm = spec.accelerator is Accelerator.KVM
    if not os.access(command.argv[0], os.X_OK):
        raise MissingDependency(f"{command.argv[0]} is not there", sandbox=spec.name)
    try:
        child = subprocess.Popen(
            [*_limited(tied), *command.argv],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            pass_fds=[descriptor.number for descriptor in command.descriptors],
            cwd="/",
            env={},
            start_new_session=True,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else kvm_groups() if kvm else [],
            umask=0o077,
        )
    except OSError as error:
        raise MachineError(f"cannot run {command.argv[0]}: {error.strerror}", sandbox=spec.name) from error
    # From here on the pidfd reaps it. Popen, seeing no status when it is collected, would keep the pid in a list of
    # its own and reap it whenever another process is started, and the exit status would be lost.
    child.returncode = 0
    pidfd = os.pidfd_open(child.pid)
    try:
        started = procfs.start_time(child.pid)
        assert started is not None, "a child that nobody has reaped is in /proc"
        with suppress(OSError):  # a preference, not a guarantee
            Path(f"/proc/{child.pid}/oom_score_adj").write_text(str(OOM_SCORE_ADJ))
        with suppress(OSError):  # the same; there is none in some kernels
            Path(f"/proc/{child.pid}/autogroup").write_text(str(NICENESS))
        identity = Identity(spec.uuid, child.pid, started, procfs.boot_id(), cid)
        return MachineProcess(identity, spec.name, pidfd, stderr)
    except BaseException:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        raise


def _limited(tied: int | None) -> list[str]:
    """The words before QEMU's that give it its limits and its place.

    nice(1) and prlimit(1) set them on themselves and become QEMU: to set another user's from outside takes
    CAP_SYS_RESOURCE, which root lacks in many a container, and threads that run already would keep their niceness.
    """
    nice, prlimit = _program("nice", "coreutils"), _program("prlimit", "util-linux")
    files = open_files.possible(OPEN_FILES)
    words = [nice, "-n", str(NICENESS), prlimit, "--core=0:0", f"--nofile={files}:{files}"]
    if tied is None:
        return [*words, "--"]
    setpriv, shell = _program("setpriv", "util-linux"), _program("sh", "dash")
    # a parent that died before the signal was asked for is not the parent any more
    unless_orphaned = [shell, "-c", '[ "$PPID" = "$0" ] && exec "$@"', str(os.getpid())]
    return [setpriv, "--pdeathsig", "KILL", "--", *unless_orphaned, *words, f"--cpu={tied}:{tied}", "--"]


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingDependency(f"{name} is not there", hint=f"apt-get install {package}")
    return found


def _bounded_file() -> int:
    """A file in memory of `STDERR_BYTES` zeros that cannot grow: a write beyond its end fails with EPERM.

    Unlike a pipe it needs no reader when the core is dead, and unlike a file on disk it has a bound that the
    kernel holds (memfd_create(2), F_SEAL_GROW). A later core finds it as QEMU's descriptor 2.
    """
    descriptor = os.memfd_create("sandtop-stderr", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, STDERR_BYTES)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return descriptor
