"""What the connection of a stream about all sandboxes carries; docs/protocol.md says when."""

from __future__ import annotations

from .record import Event, Record
from .session_results import ExitRecord

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .limits import Time

__all__ = [
    "ExitRecord", "Happened", "Happening", "HostHistory", "HostStats", "Sample", "SandboxHistory", "SandboxStats",
    "SessionStats", "Source",
]  # fmt: skip


class SessionStats(Record):
    """What a running session uses, by its cgroup in the guest.

    Attributes:
        cpu: percent of one processor since the last sample; None in the first.
        cpu_seconds: since its start.
        memory: bytes, without what the kernel can take back at once (inactive file pages).
        processes: processes and threads.
    """

    id: str
    cpu: float | None = None
    cpu_seconds: float = 0.0
    memory: int = 0
    processes: int = 0


class SandboxStats(Record):
    """What a sandbox uses. None where that is not known: it does not run, or its agent has not said.

    Attributes:
        cpu: what its machine takes of the host, in percent of one processor, since the last sample.
        cpu_seconds: the same as a sum, since its machine started.
        guest_cpu: what its sessions take by the guest's own account, in percent of one of its processors.
        cpus: how many processors it has.
        memory: bytes of its memory that are in use, as the guest sees it: all that is not available to programs.
        memory_limit: bytes that it has.
        memory_peak: the most that ``memory`` was in a sample since its machine started.
        host_memory: bytes of the host's memory that its machine holds, what it shares with others too.
        disk: bytes that its disk takes on the host, of at most ``disk_size``.
        processes: processes and threads of its sessions.
        sessions: how many run.
        output_rate: bytes a second that its sessions write; ``output_bytes`` is the sum since the core started.
        by_session: what each uses, where that was asked for.
    """

    sandbox: str
    uuid: str
    state: str
    cpu: float | None = None
    cpu_seconds: float | None = None
    guest_cpu: float | None = None
    cpus: int
    memory: int | None = None
    memory_limit: int
    memory_peak: int | None = None
    host_memory: int | None = None
    disk: int | None = None
    disk_size: int
    processes: int | None = None
    sessions: int = 0
    output_rate: float | None = None
    output_bytes: int = 0
    by_session: list[SessionStats] | None = None


class HostStats(Record):
    """What the host has, and what the core takes of it.

    Attributes:
        cpu: percent of one processor that all its programs take, of ``cpus`` processors, since the last sample.
        load: the load average of the last minute.
        memory: bytes in use (not available to programs), of ``memory_total``.
        disk_free, disk_total, disk_reserve: bytes of the file system where sandboxes write; None where not known.
        sandboxes: how many there are in each state.
        sessions: how many run, in all of them.
        standing_by: machines of the warm pool.
        clients: connections to the core.
        latency: the longest that something in the core waited for its turn since the last sample, in seconds.
        core_cpu, core_memory: percent of one processor, and bytes, that the core itself takes.
    """

    cpu: float | None = None
    cpus: int
    load: float
    memory: int
    memory_total: int
    disk_free: int | None = None
    disk_total: int | None = None
    disk_reserve: int | None = None
    sandboxes: dict[str, int]
    sessions: int
    standing_by: int = 0
    clients: int = 0
    latency: float = 0.0
    core_cpu: float | None = None
    core_memory: int = 0


class Sample(Event, kind="stats"):
    """What is used now. Of very many sandboxes several come of one moment: with ``more`` another follows."""

    at: Time
    host: HostStats
    sandboxes: list[SandboxStats]
    more: bool = False


class HostHistory(Event, kind="host-history"):
    """What the host had: one value of each field for each of the times ``at``, oldest first, None where not known.

    ``step``: the seconds between two; a longer gap is a core that did not run.
    """

    step: float
    at: list[float]
    cpu: list[float | None]
    memory: list[float | None]
    disk_free: list[float | None]
    running: list[float | None]
    sessions: list[float | None]
    latency: list[float | None]


class SandboxHistory(Event, kind="sandbox-history"):
    """What a sandbox used, as `HostHistory` has it."""

    sandbox: str
    uuid: str
    step: float
    at: list[float]
    cpu: list[float | None]
    memory: list[float | None]
    disk: list[float | None]
    processes: list[float | None]
    sessions: list[float | None]
    output_rate: list[float | None]


class Happening(Record):
    """Something that happened.

    Attributes:
        id: higher than that of all before it.
        at: seconds since the epoch.
        kind: docs/protocol.md lists them.
        sandbox, uuid: of which sandbox; None for the core itself.
        session: of which session, or None.
        message: in words, fit for a terminal.
        record: how the session ended, for ``session-exited`` and ``oom``.
    """

    id: int
    at: Time
    kind: str
    sandbox: str | None = None
    uuid: str | None = None
    session: str | None = None
    message: str = ""
    record: ExitRecord | None = None


class Happened(Event, kind="events"):
    """Some of what happened, oldest first."""

    events: list[Happening]


class Source(Event, kind="source"):
    """Bytes of ``session`` come on the streams 4n+1 and 4n+2 (stdout, stderr), where n is ``number``."""

    number: int
    sandbox: str
    uuid: str
    session: str
    argv: list[str]
    tty: bool
