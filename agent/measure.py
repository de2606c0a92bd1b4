"""What the guest uses, and what runs in it, for a core that asks: a few files of procfs and cgroupfs (proc(5))."""

from __future__ import annotations

import os
import time

from .users import names_of

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from .cgroups import Cgroups
    from .session import Session

    Message = dict[str, object]

_MOST_SESSIONS: Final = 64
"""Sessions of which a usage tells, the newest."""
_MOST_PROCESSES: Final = 300
_MOST_BYTES: Final = 40 * 1024
"""Bytes of all command lines together: the answer has to fit a message (`MAX_AGENT_MESSAGE`)."""
_COMMAND: Final = 160
"""Bytes of one command line."""
_SECONDS: Final = 0.3
_SURELY: Final = 48
"""Seconds for which the agent looks at processes, and does nothing else; `_SURELY` of them it looks at in any case."""


def usage(cgroups: Cgroups, sessions: Iterable[Session] | None) -> Message:
    """What all sessions use, and with ``sessions`` what each of these does."""
    cpu_us, tasks = cgroups.usage()
    clock = time.monotonic_ns() // 1000  # by which the guest counts what its processors do
    told: Message = {"clock_us": clock, "cpu_us": cpu_us, "memory": _memory_in_use(), "processes": tasks}
    if sessions is not None:
        newest = list(sessions)[-_MOST_SESSIONS:]
        told["sessions"] = [
            [one.id, cgroup.usage().cpu_us, cgroup.memory(), cgroup.tasks()]
            for one in newest
            if (cgroup := one.cgroup) is not None
        ]
    return told


def _memory_in_use() -> int:
    """Bytes of memory that are not available to programs."""
    total = available = 0
    for line in _read("/proc/meminfo", 256).split(b"\n"):
        if line.startswith(b"MemTotal:"):
            total = int(line.split()[1])
        elif line.startswith(b"MemAvailable:"):
            available = int(line.split()[1])
            break
    return max(0, total - available) * 1024


def processes(groups: Iterable[tuple[str | None, Iterable[int]]]) -> Message:
    """The processes of ``groups``: the id of a session (None for the agent itself) and its pids.

    ``clock`` is the guest's, in seconds. ``total`` counts all; of very many, or when looking takes long, only the first
    have a row: pid, parent's pid, user, session, state, seconds of CPU, resident bytes, threads, command line.
    """
    until, room, total = time.monotonic() + _SECONDS, _MOST_BYTES, 0
    rows: list[list[object]] = []
    names = names_of()
    for key, pid in _each(groups):
        total += 1
        if len(rows) >= _MOST_PROCESSES or room <= 0 or (len(rows) >= _SURELY and time.monotonic() > until):
            continue
        row = _look_at(pid, key, names)
        if row is not None:
            rows.append(row)
            room -= len(str(row[-1]))
    return {"rows": rows, "total": total, "clock": time.monotonic()}


def _each(groups: Iterable[tuple[str | None, Iterable[int]]]) -> Iterator[tuple[str | None, int]]:
    for key, pids in groups:
        for pid in pids:
            yield key, pid


_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def _look_at(pid: int, key: str | None, names: dict[int, str]) -> list[object] | None:
    """The row of a process; None when it has ended."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        owner, raw = os.fstat(fd).st_uid, os.read(fd, 1024)
    except OSError:
        return None
    finally:
        os.close(fd)
    name, _, rest = raw.partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    if len(fields) < 22:
        return None
    command = _read(f"/proc/{pid}/cmdline", _COMMAND).rstrip(b"\0").replace(b"\0", b" ") or b"[%s]" % name
    return [
        pid, int(fields[1]), names.get(owner, str(owner)), key, fields[0].decode("ascii", "replace"),
        (int(fields[11]) + int(fields[12])) / _TICK, int(fields[21]) * _PAGE, int(fields[17]),
        command.decode("utf-8", "replace"),
    ]  # fmt: skip


def _read(path: str, limit: int) -> bytes:
    """The first ``limit`` bytes of a file in procfs; empty when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(fd, limit)
    except OSError:
        return b""
    finally:
        os.close(fd)
