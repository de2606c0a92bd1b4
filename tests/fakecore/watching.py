"""What the fake core says of what is used, what happened, and what several sessions wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from sandtop.agent.wire import STREAMS_PER_SESSION, split
from sandtop.core.contract import core as cores
from sandtop.core.contract import sandbox as sandboxes
from sandtop.core.contract.core_events import (
    Happened,
    HostHistory,
    HostStats,
    Sample,
    SandboxHistory,
    SandboxStats,
    Source,
)
from sandtop.core.contract.net import EgressPage, NetLog
from sandtop.core.contract.record import Nothing
from sandtop.core.contract.session_events import At
from sandtop.core.errors import WrongState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.contract.core_events import Happening

    from .core import FakeCore
    from .link import Conn
    from .state import FakeSession, Raw

_MIB = 1048576
_UP = ("running", "paused", "starting", "stopping")


@dataclass
class FakeLoad:
    """What a sandbox uses, at each look the same: ``cpu`` percent, value by value, the newest last; MiB of memory."""

    cpu: tuple[float, ...] = (0.0,)
    memory: float = 60.0
    processes: int = 3
    disk: float = 40.0


@dataclass
class FakeHost:
    """What the host has."""

    cpu: tuple[float, ...] = (12.0,)
    cpus: int = 8
    memory: int = 5 << 30
    memory_total: int = 16 << 30
    disk_free: int = 120 << 30
    disk_total: int = 400 << 30
    latency: float = 0.0008


def sandbox_stats(core: FakeCore, raw: Raw) -> SandboxStats:
    load, up = core.loads.get(str(raw["name"]), FakeLoad()), raw["state"] in _UP
    its = [one for one in core.sessions.values() if one.raw["sandbox"] == raw["name"]]
    return SandboxStats(
        sandbox=str(raw["name"]),
        uuid=str(raw["uuid"]),
        state=str(raw["state"]),
        cpu=load.cpu[-1] if up else None,
        cpu_seconds=sum(load.cpu) if up else None,
        cpus=cast("int", raw["cpus"]),
        memory=int(load.memory * _MIB) if up else None,
        memory_limit=cast("int", raw["memory"]) * _MIB,
        memory_peak=int(load.memory * _MIB) if up else None,
        host_memory=int(load.memory * _MIB * 1.2) if up else None,
        disk=int(load.disk * _MIB),
        disk_size=cast("int", raw["disk"]) * _MIB,
        processes=load.processes if up else None,
        sessions=sum(not one.ended for one in its),
        output_bytes=sum(len(one.output(1)) + len(one.output(2)) for one in its),
    )


def _host_stats(core: FakeCore) -> HostStats:
    host = core.host
    states = [str(raw["state"]) for raw in core.sandboxes.values()]
    return HostStats(
        cpu=host.cpu[-1],
        cpus=host.cpus,
        load=host.cpu[-1] / 100,
        memory=host.memory,
        memory_total=host.memory_total,
        disk_free=host.disk_free,
        disk_total=host.disk_total,
        sandboxes={state: states.count(state) for state in sorted(set(states))},
        sessions=sum(not one.ended for one in core.sessions.values()),
        latency=host.latency,
        core_cpu=1.0,
        core_memory=48 * _MIB,
    )


def stats(core: FakeCore, conn: Conn, request: cores.Stats) -> Nothing | None:
    asked = request.sandboxes

    def wanted() -> list[Raw]:
        return [
            raw for raw in core.sandboxes.values() if asked is None or {raw["name"], raw["uuid"]} & set(asked)
        ]

    if request.history:
        step = request.step or 10.0
        conn.tell(_host_history(core, step))
        for raw in wanted():
            conn.tell(_history(core, raw, step))
    seen = None
    if request.follow:
        core.start(_listen, core, conn)
    while True:
        with core.news:
            while not conn.broken and seen == (core.loads, core.host):
                core.news.wait()
            if conn.broken:
                return None
            seen = (dict(core.loads), core.host)
            found = [sandbox_stats(core, raw) for raw in wanted()]
            host = _host_stats(core)
        conn.tell(Sample(at=core.clock(), host=host, sandboxes=found))
        if not request.follow:
            return Nothing()


def _listen(core: FakeCore, conn: Conn) -> None:
    """Until the client is gone."""
    try:
        conn.receive()
    except OSError:
        core.change(lambda: setattr(conn, "gone", True))


def _times(core: FakeCore, count: int, step: float) -> list[float]:
    return [core.clock() - step * (count - number) for number in range(count)]


def _host_history(core: FakeCore, step: float) -> HostHistory:
    cpu = list(core.host.cpu)
    flat: list[float | None] = [1.0] * len(cpu)
    return HostHistory(
        step=step, at=_times(core, len(cpu), step), cpu=[*cpu], memory=[*flat], disk_free=[*flat], running=[*flat],
        sessions=[*flat], latency=[*flat],
    )  # fmt: skip


def _history(core: FakeCore, raw: Raw, step: float) -> SandboxHistory:
    load = core.loads.get(str(raw["name"]), FakeLoad())
    cpu = list(load.cpu)
    memory: list[float | None] = [
        load.memory * _MIB * (0.6 + 0.4 * n / len(cpu)) for n in range(1, len(cpu) + 1)
    ]
    flat: list[float | None] = [1.0] * len(cpu)
    return SandboxHistory(
        sandbox=str(raw["name"]), uuid=str(raw["uuid"]), step=step, at=_times(core, len(cpu), step), cpu=[*cpu],
        memory=memory, disk=[*flat], processes=[*flat], sessions=[*flat], output_rate=[*flat],
    )  # fmt: skip


def events(core: FakeCore, conn: Conn, request: cores.Events) -> Nothing | None:
    of = None if request.sandboxes is None else set(request.sandboxes)

    def wanted(happenings: Sequence[Happening]) -> list[Happening]:
        kinds = request.kinds
        return [
            one
            for one in happenings
            if (of is None or {one.sandbox, one.uuid} & of) and (kinds is None or one.kind in kinds)
        ]

    with core.news:
        told = len(core.happenings)
        found = wanted(core.happenings)
    conn.tell(Happened(events=found[-(request.limit or len(found) or 1) :]))
    if not request.follow:
        return Nothing()
    core.start(_listen, core, conn)
    while True:
        with core.news:
            core.news.wait_for(lambda told=told: conn.broken or len(core.happenings) > told)  # type: ignore[misc]
            if conn.broken:
                return None
            found, told = wanted(core.happenings[told:]), len(core.happenings)
        conn.tell(Happened(events=found))


def top(core: FakeCore, conn: Conn, request: sandboxes.SandboxTop) -> sandboxes.Processes:
    raw = core.find_sandbox(request.sandbox)
    if raw["state"] != "running":
        raise WrongState(f"cannot ask {raw['name']}: it is {raw['state']}")
    found = core.processes.get(str(raw["name"]), [])
    return sandboxes.Processes(processes=found, total=len(found))


def net_log(core: FakeCore, conn: Conn, request: NetLog) -> EgressPage:
    raw = core.find_sandbox(request.sandbox)
    if raw["network"] != "filtered":
        raise WrongState(f"{raw['name']} has no allow-list")
    return EgressPage(connections=core.egress.get(str(raw["name"]), []))


def console(core: FakeCore, conn: Conn, request: sandboxes.SandboxConsole) -> Nothing:
    text = core.consoles.get(str(core.find_sandbox(request.sandbox)["name"]), b"")
    if request.tail is not None:
        text = b"".join(text.splitlines(keepends=True)[-request.tail :])
    conn.send(*split(1, 0, text))
    return Nothing()


def logs(core: FakeCore, conn: Conn, request: cores.Logs) -> Nothing | None:
    """The sessions of the sandboxes, piece by piece in the order of time; with ``follow`` what comes then, too."""
    numbers: dict[str, int] = {}
    told: dict[str, int] = {}
    sent: dict[tuple[str, int], int] = {}
    core.start(_listen, core, conn)
    first = True
    while True:
        with core.news:
            while not (first or conn.broken or any(_fresh(one, told) for one in _its(core, request))):
                core.news.wait()
            if conn.broken:
                return None
            found = [
                (at, stream, data, one)
                for one in _its(core, request)
                for at, stream, data in one.pieces[told.get(one.id, 0) :]
            ]
            told.update({one.id: len(one.pieces) for one in _its(core, request)})
        for at, stream, data, one in sorted(found, key=lambda piece: piece[0]):
            if one.id not in numbers:
                numbers[one.id] = len(numbers)
                conn.tell(_source(core, one, numbers[one.id]))
            offset = sent.get((one.id, stream), 0)
            sent[one.id, stream] = offset + len(data)
            conn.tell(At(at=at))
            conn.send(*split(STREAMS_PER_SESSION * numbers[one.id] + stream, offset, data))
        if not request.follow:
            return Nothing()
        first = False


def _fresh(one: FakeSession, told: dict[str, int]) -> bool:
    return len(one.pieces) > told.get(one.id, 0)


def _its(core: FakeCore, request: cores.Logs) -> list[FakeSession]:
    if request.sandboxes is None:
        return list(core.sessions.values())
    names = {core.find_sandbox(one)["name"] for one in request.sandboxes}
    return [one for one in core.sessions.values() if one.raw["sandbox"] in names]


def _source(core: FakeCore, one: FakeSession, number: int) -> Source:
    raw = core.find_sandbox(str(one.raw["sandbox"]))
    return Source(
        number=number, sandbox=str(raw["name"]), uuid=str(raw["uuid"]), session=one.id,
        argv=cast("list[str]", one.raw["argv"]), tty=one.raw["tty"] is True,
    )  # fmt: skip
