"""The supervisor: the core's parent. It starts the core, starts it again when it was killed, and reaps.

It holds no state, so it has next to nothing that could fail. As a subreaper it also collects the machines of a core
that died (prctl(2), PR_SET_CHILD_SUBREAPER).
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final, Never

from sandtop.core.daemon.locks import held, leave, lock
from sandtop.core.errors import EXIT_SANDTOP_FAILED, SandtopError
from sandtop.core.paths import find

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.paths import Paths

_READY_DEADLINE: Final = 120.0
"""Seconds for the core to accept connections: it adopts every machine only after that."""
_POLL: Final = 0.02
_LOCK_TRIES: Final = 25
_LOG_BYTES: Final = 1 << 20
_FAST: Final = 5.0
"""A core that lived for fewer seconds than this failed to start."""
_MAX_FAST_FAILURES: Final = 5
CHANNEL: Final = "--channel"
"""The option that says which channel machines are to have."""
ALREADY_RUNNING: Final = 3
"""The core's exit status when another core holds the lock."""
UMASK: Final = 0o022
"""What supervisor and core make can be written by nobody else, whatever the umask of who starts them. The kernel, the
runtime and images must stay readable: the user that a machine runs as reads them. What is private says so itself."""
_PR_SET_CHILD_SUBREAPER: Final = 36


def ensure_core(channel: str | None = None) -> int:
    """Start the supervisor in the background unless a core answers; return once one does. The exit status to give.

    ``channel`` is for `CHANNEL`.
    """
    try:
        paths = find()
        paths.ensure()
    except SandtopError as error:
        sys.stderr.write(f"sandtop: {error}\n")
        return EXIT_SANDTOP_FAILED
    if answers(paths.core_socket):
        return 0
    _trim_log(paths.core_log)
    mark = paths.core_log.stat().st_size if paths.core_log.exists() else 0
    alive = _detach(paths, channel)
    deadline = time.monotonic() + _READY_DEADLINE
    while time.monotonic() < deadline:
        if answers(paths.core_socket):
            return 0
        if not select.select([alive], [], [], _POLL)[0]:
            continue
        if not held(paths.supervisor_lock):
            break  # the supervisor has given up, and none was there before it
        time.sleep(_POLL)
    sys.stderr.write(f"sandtop: the core did not start: {_reason(paths.core_log, mark)}\n")
    return EXIT_SANDTOP_FAILED


def answers(path: Path) -> bool:
    """Whether a core accepts connections at ``path``."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
        return True


def _reason(log: Path, mark: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(mark)
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError as error:
        return f"its log {log} cannot be read: {error.strerror}"
    return f"{lines[-1]} (the log: {log})" if lines else f"see {log}"


def _trim_log(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        os.replace(log, log.with_suffix(".old"))


def _detach(paths: Paths, channel: str | None) -> int:
    """Leave the caller's session for good (daemon(7)), and keep the core there.

    The caller gets a descriptor on which nothing comes but its end, when the supervisor ends.
    """
    alive, held = os.pipe()
    if os.fork() != 0:
        os.close(held)
        return alive
    os.setsid()
    os.umask(UMASK)
    if os.fork() != 0:
        os._exit(0)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(paths.core_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.closerange(3, held)
    os.closerange(held + 1, os.sysconf("SC_OPEN_MAX"))
    _supervise(paths, [] if channel is None else [CHANNEL, channel])


def _supervise(paths: Paths, options: list[str]) -> Never:
    """The supervisor's life: each core gets the ``options``.

    Ends when the core ends of its own accord, or fails again and again.
    """
    # a client that only looks whether there is a supervisor holds the lock for a moment
    for _ in range(_LOCK_TRIES):
        if lock(paths.supervisor_lock) is not None:
            break
        time.sleep(_POLL)
    else:
        os._exit(0)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    failures = 0
    stopped = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True
        os.kill(core, signal.SIGTERM)

    while True:
        begun = time.monotonic()
        core = subprocess.Popen(
            [sys.executable, "-m", "sandtop.core.daemon", "--serve", *options], stdin=subprocess.DEVNULL
        ).pid
        signal.signal(signal.SIGTERM, stop)
        status = _reap_until(core)
        if stopped or status in (0, ALREADY_RUNNING):
            leave(paths)
            os._exit(0)
        # SIGKILL comes from outside and says nothing about the core
        failed = status != -signal.SIGKILL and time.monotonic() - begun < _FAST
        failures = failures + 1 if failed else 0
        if failures >= _MAX_FAST_FAILURES:
            os._exit(EXIT_SANDTOP_FAILED)
        time.sleep(0 if failures <= 1 else 0.2 * failures)


def _reap_until(core: int) -> int:
    """Collect every child that ends until ``core`` does; its exit status, negative for a signal."""
    while True:
        pid, status = os.wait()
        if pid == core:
            return os.waitstatus_to_exitcode(status)
