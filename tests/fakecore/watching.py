"""What the fake core tells of use, events, processes and consoles; and the logs of several sandboxes, merged.

All figures follow from the names of sandboxes and from `NOW`: pictures of them stay the same.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from sandtop.agent.wire import split
from sandtop.core.contract.core import Address
from sandtop.core.contract.core_events import (
    Happened,
    HostHistory,
    HostStats,
    Sample,
    SandboxHistory,
    SandboxStats,
    SessionStats,
    Source,
)
from sandtop.core.contract.record import Nothing
from sandtop.core.contract.sandbox import Processes, ProcessInfo
from sandtop.core.contract.session_events import At

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandtop.core.contract.core import Events, Logs, Metrics, Stats
    from sandtop.core.contract.sandbox import SandboxConsole, SandboxTop

    from .core import FakeCore
    from .link import Conn
    from .state import FakeSession, Raw

MIB = 1 << 20
STEP = 10.0


def _chosen(core: FakeCore, names: Sequence[str] | None, labels: Mapping[str, str] | None) -> list[Raw]:
    found = list(core.sandboxes.values()) if names is None else [core.find_sandbox(name) for name in names]
    return [raw for raw in found if (labels or {}).items() <= dict[str, str](raw["labels"]).items()]  # type: ignore[call-overload]


def _until_gone(core: FakeCore, conn: Conn) -> None:
    """A follower to whom nothing more happens."""
    try:
        while True:
            conn.receive()
    except (OSError, ValueError):
        with core.news:
            conn.gone = True
            core.news.notify_all()


def stats(core: FakeCore, conn: Conn, request: Stats) -> Nothing | None:
    chosen = _chosen(core, request.sandboxes, request.labels)
    if request.history:
        count = min(360, int(request.history / STEP))
        at = [core.clock() - STEP * (count - index) for index in range(count)]
        wave = [float(20 + index % 30) for index in range(count)]
        conn.tell(
            HostHistory(
                step=STEP, at=at, cpu=[*wave], memory=[4.0 * (1 << 30)] * count, disk_free=[60.0 * (1 << 30)] * count,
                running=[1.0] * count, sessions=[1.0] * count, latency=[0.001] * count,
            )
        )  # fmt: skip
        for raw in chosen:
            conn.tell(
                SandboxHistory(
                    sandbox=str(raw["name"]), uuid=str(raw["uuid"]), step=STEP, at=at, cpu=[*wave],
                    memory=[100.0 * MIB] * count, disk=[10.0 * MIB] * count, processes=[3.0] * count,
                    sessions=[1.0] * count, output_rate=[*wave],
                )
            )  # fmt: skip
    conn.tell(Sample(at=core.clock(), host=host_stats(core), sandboxes=[
        sandbox_stats(core, raw, sessions=request.sessions) for raw in chosen
    ]))  # fmt: skip
    if request.follow:
        _until_gone(core, conn)
        return None
    return Nothing()


def host_stats(core: FakeCore) -> HostStats:
    states: dict[str, int] = {}
    for raw in core.sandboxes.values():
        states[str(raw["state"])] = states.get(str(raw["state"]), 0) + 1
    return HostStats(
        cpu=52.5, cpus=4, load=1.25, memory=6 << 30, memory_total=16 << 30, disk_free=60 << 30, disk_total=200 << 30,
        disk_reserve=512 * MIB, sandboxes=states, sessions=sum(not one.ended for one in core.sessions.values()),
        clients=1, latency=0.002, core_cpu=0.4, core_memory=40 * MIB,
    )  # fmt: skip


def sandbox_stats(core: FakeCore, raw: Raw, *, sessions: bool = False) -> SandboxStats:
    number, runs = zlib.crc32(str(raw["name"]).encode()), raw["state"] == "running"
    limit = int(str(raw["memory"])) * MIB
    its = [one for one in core.sessions.values() if one.raw["sandbox"] == raw["name"] and not one.ended]
    memory = limit * (20 + number % 60) // 100 if runs else None
    return SandboxStats(
        sandbox=str(raw["name"]), uuid=str(raw["uuid"]), state=str(raw["state"]),
        cpu=float(number % 100) if runs else None, cpu_seconds=float(number % 1000) if runs else None,
        guest_cpu=float(number % 90) if runs else None, cpus=int(str(raw["cpus"])), memory=memory, memory_limit=limit,
        memory_peak=memory, host_memory=memory, disk=(1 + number % 50) * MIB, disk_size=int(str(raw["disk"])) * MIB,
        processes=len(its) * 2 if runs else None, sessions=len(its), output_rate=float(number % 3000) if runs else None,
        output_bytes=number % 100_000,
        by_session=[
            SessionStats(id=one.id, cpu=1.5, cpu_seconds=3.0, memory=8 * MIB, processes=2) for one in its
        ] if sessions and runs else None,
    )  # fmt: skip


def events(core: FakeCore, conn: Conn, request: Events) -> Nothing | None:
    uuids = None
    if request.sandboxes is not None or request.labels:
        uuids = {raw["uuid"] for raw in _chosen(core, request.sandboxes, request.labels)}
    done = request.after or 0
    if request.follow:
        core.start(_until_gone, core, conn)
    first = True
    while True:
        with core.news:
            if request.follow and not first:
                core.news.wait_for(lambda done=done: conn.broken or len(core.happened) > done)  # type: ignore[misc]
                if conn.broken:
                    return None
            found = core.happened[done:]
            done = len(core.happened)
        chosen = [
            one
            for one in found
            if (uuids is None or one.uuid in uuids)
            and (request.kinds is None or one.kind in request.kinds)
            and (request.since or 0.0) <= one.at <= (request.until or one.at)
        ]
        if first and request.limit is not None:
            chosen = chosen[max(0, len(chosen) - request.limit) :]
        if chosen:
            conn.tell(Happened(events=chosen))
        if not request.follow:
            return Nothing()
        first = False


def logs(core: FakeCore, conn: Conn, request: Logs) -> Nothing | None:
    names = {raw["name"] for raw in _chosen(core, request.sandboxes, request.labels)}
    wanted = {1 if name == "stdout" else 2 for name in request.streams or ("stdout", "stderr")}
    if request.follow:
        core.start(_until_gone, core, conn)
    numbers: dict[str, int] = {}
    done: dict[str, int] = {}
    at: dict[tuple[str, int], int] = {}

    def unread() -> list[tuple[float, FakeSession, int, bytes]]:
        return sorted(
            (
                (when, one, stream, data)
                for one in core.sessions.values()
                if one.raw["sandbox"] in names
                for when, stream, data in one.pieces[done.get(one.id, 0) :]
            ),
            key=lambda each: each[0],
        )

    while True:
        with core.news:
            if request.follow:
                core.news.wait_for(lambda: conn.broken or unread())
            if conn.broken:
                return None
            found = unread()
            done |= {one.id: len(one.pieces) for one in core.sessions.values()}
        for when, one, stream, data in found:
            begin = at.get((one.id, stream), 0)
            at[one.id, stream] = begin + len(data)
            if stream not in wanted or when < (request.since or 0.0):
                continue
            if one.id not in numbers:
                numbers[one.id] = len(numbers) + 1
                raw = core.of(str(one.raw["sandbox"]))
                conn.tell(
                    Source(
                        number=numbers[one.id], sandbox=str(raw["name"]), uuid=str(raw["uuid"]), session=one.id,
                        argv=one.info.argv, tty=one.info.tty,
                    )
                )  # fmt: skip
            conn.tell(At(at=when))
            conn.send(*split(4 * numbers[one.id] + stream, begin, data))
        if not request.follow:
            return Nothing()


def top(core: FakeCore, conn: Conn, request: SandboxTop) -> Processes:
    raw = core.find_sandbox(request.sandbox)
    its = [one for one in core.sessions.values() if one.raw["sandbox"] == raw["name"] and not one.ended]
    found = [
        ProcessInfo(
            pid=100 + index, parent=1, user="root", session=one.id, state="S", cpu=float(10 - index % 10),
            cpu_seconds=3.0 + index, memory=(8 + index) * MIB, threads=1, command=" ".join(one.info.argv),
        )
        for index, one in enumerate(its)
    ]  # fmt: skip
    agent = ProcessInfo(
        pid=1, parent=0, user="root", state="S", cpu=0.0, cpu_seconds=0.5, memory=11 * MIB, threads=1,
        command="/usr/bin/python3 -I -S -m sandtop.agent",
    )  # fmt: skip
    return Processes(processes=[*found, agent], total=len(found) + 1)


def console(core: FakeCore, conn: Conn, request: SandboxConsole) -> Nothing | None:
    text = core.consoles.get(str(core.find_sandbox(request.sandbox)["name"]), b"")
    lines = text.splitlines(keepends=True)
    if request.tail is not None:
        lines = lines[-request.tail :] if request.tail else []
    conn.send(*split(1, 0, b"".join(lines)))
    if request.follow:
        _until_gone(core, conn)
        return None
    return Nothing()


def metrics(core: FakeCore, conn: Conn, request: Metrics) -> Address:
    if request.address is not None:
        core.metrics = None if request.address == "off" else request.address
    return Address(address=core.metrics)
