"""The rows, as plain frozen data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class MountRow:
    """What is mounted in a sandbox whenever it runs; as `sandtop.core.contract.mount.Mount`."""

    type: str
    target: str
    source: str | None = None
    read_only: bool = False
    size: int | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A secret of a sandbox, without its value.

    Attributes:
        name: of the environment variable that has the placeholder.
        host, port: who gets the value.
        placeholder: what the sandbox has in its place.
        file: what the value is in, an absolute path; None where it was given to a core, which keeps it in memory.
    """

    name: str
    host: str
    port: int
    placeholder: str
    file: str | None = None


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """What the user asked for. But for ``disk`` and ``allow`` it does not change while the sandbox exists.

    Attributes:
        memory: MiB.
        disk: MiB that the sandbox may write; the file is sparse.
        network: ``none``, ``user`` or ``filtered``.
        workdir, shell, user: the defaults of every session.
        ephemeral: made by ``run``: removed as soon as its client is gone.
        accelerator: ``kvm`` or ``tcg`` where one was asked for; empty for the best that works.
        publish: ports of the host that lead into it: address, port, port in the sandbox.
        allow: of one that is filtered: what it may reach, the lines of its list (`sandtop.core.egress.parse`).
        stop_signal: by which its image says that programs are asked to end; empty for SIGTERM.
        mounts: what is mounted in it whenever it runs.
        secrets: what is put into what it sends to some hosts.
        grown: its file system is to be made as large as ``disk`` when it runs next.
    """

    image: str = "base"
    cpus: int = 1
    memory: int = 512
    disk: int = 8192
    network: str = "none"
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    workdir: str = "/"
    shell: str = "/bin/sh"
    user: str = "root"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    ephemeral: bool = False
    accelerator: str = ""
    publish: tuple[tuple[str, int, int], ...] = ()
    allow: tuple[str, ...] = ()
    stop_signal: str = ""
    mounts: tuple[MountRow, ...] = ()
    grown: bool = False
    secrets: tuple[SecretRow, ...] = ()

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> SandboxConfig:
        """The inverse of `to_json`. Fields of a newer version are dropped, those of an older one defaulted."""
        known: dict[str, Any] = {key: value for key, value in data.items() if key in cls.__slots__}
        if "publish" in known:
            known["publish"] = tuple(
                (str(address), int(host), int(guest)) for address, host, guest in known["publish"]
            )
        if "allow" in known:
            known["allow"] = tuple(map(str, known["allow"]))
        if "mounts" in known:
            known["mounts"] = tuple(MountRow(**each) for each in known["mounts"])
        if "secrets" in known:
            known["secrets"] = tuple(SecretRow(**each) for each in known["secrets"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Ownership:
    """How a running machine is found again after the core died.

    Attributes:
        pid, start_time: of its process; the start time (in clock ticks since boot, proc(5)) tells a reused pid.
        boot_id: the host's boot; another one means that the machine is gone.
        token: the machine's secret for the channel's handshake.
        accelerator: ``tcg`` or ``kvm``.
        cid: its address for AF_VSOCK on the host; None without vsock.
    """

    pid: int
    start_time: int
    boot_id: str
    token: str
    accelerator: str
    cid: int | None = None


@dataclass(frozen=True, slots=True)
class SandboxRow:
    """One sandbox.

    Attributes:
        removed_at: set when only its history is left.
        acknowledged_at: when somebody said to have seen that it failed; another failure asks anew.
        changed_at: when it came into its state; None where an earlier release stored that.
    """

    uuid: str
    name: str
    config: SandboxConfig
    state: str
    reason: str
    created_at: float
    started_at: float | None = None
    ownership: Ownership | None = None
    request_id: str = ""
    image_digest: str = ""
    removed_at: float | None = None
    acknowledged_at: float | None = None
    changed_at: float | None = None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session.

    Attributes:
        start: the message that started it, so that it can be sent again.
        on_hangup: ``kill`` for one that is to end when its client goes away, else ``keep``.
        acknowledged_at: when somebody said to have seen how it ended.
        prompt_seen: who in it waited for somebody to type (as the agent says) when somebody said to have seen that;
            empty once that is over.
    """

    id: str
    uuid: str
    number: int
    start: Mapping[str, object]
    state: str
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    pid: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    record: Mapping[str, object] | None = None
    on_hangup: str = "keep"
    acknowledged_at: float | None = None
    prompt_seen: str = ""

    @property
    def argv(self) -> list[str]:
        return cast("list[str]", self.start.get("argv") or [])

    @property
    def argv_length(self) -> int:
        """How many they were: of a very long command line only the beginning is kept."""
        length = self.start.get("argv_length")
        return length if isinstance(length, int) else len(self.argv)

    @property
    def tty(self) -> bool:
        return self.start.get("tty") is not None


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert rule that holds of a sandbox, or did.

    Attributes:
        name: the rule's.
        text: the line of output that it is about; empty for another rule.
        at: when it was raised, seconds since the epoch.
        notify: how consoles say so; see `sandtop.core.rules.Rule`.
        session: the session that wrote the line, or None.
        seen: somebody has acknowledged it.
    """

    name: str
    text: str
    at: float
    notify: str
    session: str | None = None
    seen: bool = False
