"""What runs in a sandbox, by its agent's word: asked twice, so that it is known what takes the processors now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeGuard
from weakref import WeakKeyDictionary

import trio

from sandtop.core.channel import too_old
from sandtop.core.contract.record import is_list
from sandtop.core.contract.sandbox import Processes, ProcessInfo
from sandtop.core.errors import ChannelError
from sandtop.core.sessions.records import printable

if TYPE_CHECKING:
    from sandtop.core.channel import AgentLink
    from sandtop.core.fleet.sandbox import Sandbox

_LINK_SECONDS: Final = 10.0
_DEADLINE: Final = 5.0
_BETWEEN: Final = 0.5
"""Seconds between the two looks; …"""
_OLD: Final = 15.0
"""… one that was taken for an earlier request serves as the first for so long."""
_STATES: Final = frozenset("RSDZTtXxKWPI")
_MOST: Final = 1 << 62
_MOST_ROWS: Final = 512
_COMMAND: Final = 200


@dataclass(frozen=True, slots=True)
class Look:
    """What an agent told of its processes, and when: ``at`` by trio's clock, ``clock`` by its guest's."""

    at: float
    clock: float
    found: list[ProcessInfo]
    total: int


_LATEST: Final[WeakKeyDictionary[AgentLink, Look]] = WeakKeyDictionary()
"""The last look, by the link that it was taken over."""


async def processes(sandbox: Sandbox) -> Processes:
    """The processes of ``sandbox``, those that take most first.

    Raises `WrongState` when it does not run or its agent is of an older sandtop, `ChannelError`.
    """
    link = sandbox.running_machine("ask what runs in").link
    await link.wait_up(_LINK_SECONDS)
    if not link.measures:
        raise too_old(sandbox.name, "cannot say what runs in it")
    before = _LATEST.get(link)
    if before is None or not _BETWEEN <= trio.current_time() - before.at <= _OLD:
        before = await _look(sandbox, link)
        await trio.sleep(_BETWEEN)
    now = _LATEST[link] = await _look(sandbox, link)
    earlier = {each.pid: each.cpu_seconds for each in before.found}
    seconds, most = now.clock - before.clock, 100.0 * sandbox.row.config.cpus
    found = [
        replace(each, cpu=_percent(each.cpu_seconds - earlier.get(each.pid, 0.0), seconds, most))
        for each in now.found
    ]
    found.sort(key=lambda each: (-each.cpu, -each.memory, each.pid))
    return Processes(processes=found, total=now.total)


async def _look(sandbox: Sandbox, link: AgentLink) -> Look:
    answer = await link.processes(_DEADLINE)
    rows = answer.get("rows")
    if not is_list(rows):
        raise ChannelError("the agent's word on its processes makes no sense", sandbox=sandbox.name)
    found = [one for row in rows[:_MOST_ROWS] if (one := _process(sandbox, row)) is not None]
    total = answer.get("total")
    clock = answer.get("clock")
    at = float(clock) if isinstance(clock, (int, float)) and 0 <= clock <= _MOST else 0.0
    return Look(trio.current_time(), at, found, max(len(found), total if _is_count(total) else 0))


def _percent(taken: float, seconds: float, most: float) -> float:
    """Per cent of one processor, at most ``most``: what a guest counts may be wrong."""
    return round(min(max(0.0, taken) / seconds * 100, most), 1) if seconds > 0 else 0.0


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _process(sandbox: Sandbox, row: object) -> ProcessInfo | None:
    """What a row says; None when it makes no sense."""
    if not is_list(row) or len(row) != 9:
        return None
    pid, parent, user, session, state, seconds, memory, threads, command = row
    if not (_is_count(pid) and _is_count(parent) and _is_count(memory) and _is_count(threads)):
        return None
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds <= _MOST:
        return None
    if not (
        isinstance(user, str) and isinstance(command, str) and isinstance(state, str) and state in _STATES
    ):
        return None
    known = session if isinstance(session, str) and sandbox.sessions.find(session) is not None else None
    return ProcessInfo(
        pid=pid, parent=parent, user=printable(user)[:32], session=known, state=state,
        cpu=0.0, cpu_seconds=float(seconds), memory=memory, threads=threads, command=printable(command)[:_COMMAND],
    )  # fmt: skip
