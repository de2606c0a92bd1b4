"""``sandbox.…``: machines, and what can be done with them."""

from __future__ import annotations

from .mount import Mount  # noqa: TC001  the codec looks for it in this module
from .record import Change, Event, Nothing, Part, Record, Request, Stream
from .secret import GivenSecret, Secret  # noqa: TC001

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Literal

    from .limits import (
        AnyPort,
        Count,
        Disk,
        Environment,
        GuestPath,
        HostAddress,
        Memory,
        Name,
        Port,
        Processors,
        Text,
        Time,
    )


class Alert(Record):
    """An alert rule of the configuration that holds of a sandbox, or did.

    Attributes:
        name: the rule's.
        text: the line of output that it is about; empty for a rule that looks at none.
        at: when it was raised, seconds since the epoch.
        session: the session that wrote it, or None.
        notify: how a console says so beside showing it: ``none``, ``bell`` or ``osc9``.
        acknowledged: somebody said to have seen it.
    """

    name: str
    text: str = ""
    at: Time
    session: str | None = None
    notify: str = "none"
    acknowledged: bool = False


class PortForward(Part):
    """A port of the host that leads to one of a sandbox.

    Attributes:
        address: of the host, where it listens.
        host_port: there; 0 in a request for any that is free.
        guest_port: to which port of 127.0.0.1 in the sandbox, or else of ::1 there.
    """

    address: HostAddress = "127.0.0.1"
    host_port: AnyPort = 0
    guest_port: Port


class PublishedPort(PortForward):
    """A port that was published when the sandbox was made.

    Attributes:
        listening: whether it leads there now, which it does while the sandbox runs.
    """

    listening: bool = False


class SandboxInfo(Record):
    """A sandbox as it was when the core was asked.

    Attributes:
        state: creating, starting, running, paused, stopping, stopped, failed or lost.
        memory, disk: MiB.
        disk_used: bytes that its disk takes on the host, as it was when the list or the sandbox was asked for last.
        pid: its machine's process, while it runs.
        reason: why it is in that state, in words.
        created_at, started_at: seconds since the epoch.
        sessions: how many sessions run in it.
        attention: why somebody should look at it, or None.
        attention_kind: ``failed``, ``lost``, ``trouble`` (machine, agent or logs), ``session`` (one ended badly),
            ``alert`` (a rule of the configuration holds), ``prompt`` (a program waits for somebody to type), ``silent``
            (see docs/console.md); None without a reason.
        attention_session: the id of the session that it is about, or None.
        attention_at: since when that is so, seconds since the epoch: when the session ended, or output came last; None
            where that is not known.
        warnings: what of its identity (its name, hosts, machine-id …) could not be written at its start, and why.
        acknowledged: somebody said to have seen that it is failed or lost.
        changed_at: when it came into its state, seconds since the epoch; None where that is not known.
        alerts: the rules of the configuration that hold of it, the newest first.
        ports: those of the host that lead to ports of it.
        network: ``none``, ``user``, ``user:host-loopback``, or ``filtered``: what is in ``allow`` and nothing else.
        mounts: what is mounted in it whenever it runs.
        secrets: what is put into what it sends to some hosts, less the values.
    """

    name: str
    uuid: str
    state: str
    image: str
    cpus: int
    memory: int
    disk: int
    network: str
    accelerator: str | None = None
    pid: int | None = None
    reason: str | None = None
    created_at: Time
    started_at: Time | None = None
    labels: dict[str, str]
    env: dict[str, str]
    workdir: str = "/"
    shell: str = "/bin/sh"
    user: str = "root"
    sessions: int = 0
    attention: str | None = None
    attention_kind: str | None = None
    attention_session: str | None = None
    attention_at: Time | None = None
    warnings: list[str]
    acknowledged: bool = False
    changed_at: Time | None = None
    alerts: list[Alert]
    ports: list[PublishedPort]
    mounts: list[Mount]
    disk_used: Count | None = None
    allow: list[str]
    secrets: list[Secret]


class SandboxAnswer(Record):
    """The sandbox as it is now."""

    sandbox: SandboxInfo


class SandboxPage(Record):
    """Of a list, oldest first: the newest that one answer holds. With ``more`` there are older ones."""

    sandboxes: list[SandboxInfo]
    more: bool = False


class Inspection(Record):
    """All that the core knows of a sandbox.

    Attributes:
        machine: the machine's own description and command line, while it runs.
        timings: seconds that its last start took, by stage.
        console: the last lines of its serial console, while it runs.
        image_digest: of the image that it was made of.
        folder: where its disk and logs are, on the host.
    """

    sandbox: SandboxInfo
    machine: dict[str, object] | None = None
    timings: dict[str, float]
    console: str | None = None
    image_digest: str
    folder: str


class Pong(Record):
    """``seconds``: the round trip to the agent."""

    seconds: float


class ProcessInfo(Record):
    """A process in a sandbox, as its agent saw it.

    Attributes:
        parent: its parent's pid.
        user: the name of its user in the sandbox, or the number of one without a name.
        session: the id of the session that it is of; None for the agent.
        state: as ps(1) has it: R, S, D, Z, T, I.
        cpu: percent of one of the sandbox's processors, since it was asked last or for half a second.
        cpu_seconds: since its start.
        memory: bytes that it has in memory (its resident set).
        command: its command line; in brackets the name of one that has none.
    """

    pid: int
    parent: int
    user: str
    session: str | None = None
    state: str
    cpu: float
    cpu_seconds: float
    memory: int
    threads: int
    command: str


class Processes(Record):
    """The processes of a sandbox, those that take most of its processors first; ``total``: how many there are.

    Of very many the agent tells some hundred.
    """

    processes: list[ProcessInfo]
    total: int


class Held(Event, kind="held"):
    """This connection keeps the sandbox."""

    sandbox: SandboxInfo


class Connected(Event, kind="connected"):
    """The connection stands, to ``address`` in the sandbox: bytes may go both ways."""

    address: str


class Forwarding(Event, kind="forwarding"):
    """These ports of the host lead into the sandbox, for as long as this connection."""

    ports: list[PortForward]


class ForwardFailed(Event, kind="forward-failed"):
    """Somebody connected to ``port``, and was refused, for ``reason``."""

    port: PortForward
    reason: str


class SandboxCreate(Change[SandboxAnswer], op="sandbox.create", slow=True):
    """Make a sandbox and start it. None is the core's default.

    Attributes:
        memory, disk: MiB.
        ephemeral: it goes when no client holds it any more (`SandboxHold`).
        accelerator: for all its starts; None for the best that works on the core's host.
        cold: boot, without a template.
        publish: ports of the host that lead into it whenever it runs.
        allow: what it may reach, as `NetAllow` has it. Its network is ``filtered`` then, and nothing else is reached.
        mounts: what is mounted in it whenever it runs: 32 at most, each at a place of its own.
        secrets: what is put into what it sends to some hosts. What they are for is allowed, and its network
            ``filtered``.
        image: its name. A container image that is not here and whose name has a tag, a digest or a registry is pulled.
            Its configuration says what is not said here.
        docker_config: for that, as in ``image.pull``.
    """

    name: Name
    image: Text | None = None
    cpus: Processors | None = None
    memory: Memory | None = None
    disk: Disk | None = None
    network: Literal["none", "user", "user:host-loopback", "filtered"] | None = None
    env: Environment | None = None
    workdir: GuestPath | None = None
    shell: GuestPath | None = None
    user: Text | None = None
    labels: Environment | None = None
    ephemeral: bool = False
    accelerator: Literal["kvm", "tcg"] | None = None
    cold: bool = False
    publish: list[PortForward] | None = None
    allow: list[Text] | None = None
    mounts: list[Mount] | None = None
    secrets: list[GivenSecret] | None = None
    docker_config: str | None = None


class SandboxList(Request[SandboxPage], op="sandbox.list"):
    """Those that were not removed. ``before``: older ones than that with this uuid."""

    before: str | None = None


class SandboxInspect(Request[Inspection], op="sandbox.inspect"):
    """All that the core knows of it."""

    sandbox: str


class SandboxUpdate(Change[SandboxAnswer], op="sandbox.update", slow=True):
    """Change what it was made with: ``disk``, MiB, which can only grow; of one that runs, at once."""

    sandbox: str
    disk: Disk | None = None


class SandboxStart(Change[SandboxAnswer], op="sandbox.start", slow=True, outdated=("force",)):
    """Start one that does not run. ``accelerator`` is for this start."""

    sandbox: str
    cold: bool = False
    accelerator: Literal["kvm", "tcg"] | None = None


class SandboxStop(Change[SandboxAnswer], op="sandbox.stop", slow=True):
    """End what runs in it and switch it off; with ``force`` at once."""

    sandbox: str
    force: bool = False


class SandboxRestart(Change[SandboxAnswer], op="sandbox.restart", slow=True):
    """Stop it, if it runs, and start it."""

    sandbox: str
    force: bool = False
    cold: bool = False
    accelerator: Literal["kvm", "tcg"] | None = None


class SandboxPause(Change[SandboxAnswer], op="sandbox.pause", outdated=("force",)):
    """Freeze it."""

    sandbox: str


class SandboxResume(Change[SandboxAnswer], op="sandbox.resume", outdated=("force",)):
    """Let a paused one go on."""

    sandbox: str


class SandboxRemove(Change[Nothing], op="sandbox.rm", slow=True):
    """Remove it with all that was written in it; its sessions' output and records stay with ``keep_history``."""

    sandbox: str
    force: bool = False
    keep_history: bool = False


class SandboxHold(Stream[Nothing], op="sandbox.hold"):
    """Keep an ephemeral one for as long as this connection. `Held` is the answer, and then nothing comes."""

    sandbox: str


class SandboxAcknowledge(Request[SandboxAnswer], op="sandbox.acknowledge"):
    """Somebody has seen that it failed or was lost, and its alerts; with ``undo`` they ask for somebody again."""

    sandbox: str
    undo: bool = False


class SandboxPing(Request[Pong], op="sandbox.ping"):
    """Ask its agent whether it is there."""

    sandbox: str


class SandboxTop(Request[Processes], op="sandbox.top"):
    """What runs in it, by its agent's word."""

    sandbox: str


class SandboxConsole(Stream[Nothing], op="sandbox.console"):
    """What its guest's kernel and agent print, as bytes on stream 1: of its last start, also when it does not run.

    Attributes:
        tail: the last so many lines; null: all that is kept (256 KiB).
        follow: and what comes until its machine ends.
    """

    sandbox: str
    tail: Count | None = None
    follow: bool = False


class SandboxConnect(Stream[Nothing], op="sandbox.connect"):
    """A TCP connection to ``port`` in it, whatever its network: bytes both ways, once `Connected` was said."""

    sandbox: str
    port: Port


class SandboxForward(Stream[Nothing], op="sandbox.forward"):
    """Have ports of the host lead into it for as long as this connection; `Forwarding` says which these are."""

    sandbox: str
    ports: list[PortForward]
