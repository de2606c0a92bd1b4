"""Signals and window sizes: checked, and passed to the agent."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.agent.wire.limits import MAX_WINDOW_SIDE
from sandtop.core.errors import InvalidRequest, WrongState
from sandtop.core.fleet import State
from sandtop.core.sessions import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.fleet import Sandbox
    from sandtop.core.sessions import Session

_DEADLINE: Final = 10.0
_SCOPES: Final = ("leader", "group", "all")


async def send_signal(sandbox: Sandbox, session: Session, request: Mapping[str, object]) -> None:
    """Send ``request``'s signal; with the scope ``all`` also to what an ended session left running.

    Raises `InvalidRequest`, `WrongState` for one that has ended, `ChannelError`.
    """
    number, scope = request.get("signal"), request.get("scope", "group")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < signal.NSIG:
        raise InvalidRequest(f"there is no signal {number!r:.20}", sandbox=sandbox.name)
    if scope not in _SCOPES:
        raise InvalidRequest(
            f"a signal goes to {', '.join(_SCOPES)}, not to {scope!r:.20}", sandbox=sandbox.name
        )
    session.was_sent(number)
    message = {"type": "signal", "signal": number, "scope": scope, **_operation(request)}
    await _ask(sandbox, session, message, "signal", left=scope == "all")
    if number == signal.SIGKILL and session.ended:
        await _until_gone(session)


async def end_left(sandbox: Sandbox, session: Session) -> None:
    """Kill what an ended session left running, and return when nothing is. Raises `WrongState`, `ChannelError`."""
    if not await _has_left(sandbox, session):
        return
    message: dict[str, object] = {"type": "signal", "signal": 9, "scope": "all", "id": session.row.id}
    machine = sandbox.running_machine(f"end what session {session.row.id} left running in")
    await machine.link.request(message, _DEADLINE)
    await _until_gone(session)
    if session.left:
        raise WrongState(
            f"{session.left} processes that session {session.row.id} left do not end",
            sandbox=sandbox.name,
            hint=f"stop the sandbox: sandtop stop {sandbox.name}",
        )


async def _until_gone(session: Session) -> None:
    """Return when nothing that an ended session left runs any more, or after a while."""
    with trio.move_on_after(_DEADLINE):
        while session.left:
            await session.wait_for_news()


async def _has_left(sandbox: Sandbox, session: Session) -> bool:
    """Whether an ended session left something that runs; after the core's start its agent has to be heard first."""
    await sandbox.adopted()
    if sandbox.state is State.RUNNING and sandbox.machine is not None:
        await sandbox.machine.link.wait_up(_DEADLINE)
    return session.left > 0


async def resize(sandbox: Sandbox, session: Session, request: Mapping[str, object]) -> None:
    """Set the window size of a session's terminal. Raises as `send_signal`."""
    size = window_size(request)
    if not session.row.tty:
        raise InvalidRequest(f"session {session.row.id} has no terminal", sandbox=sandbox.name)
    # before the agent is asked: what the program draws for it comes behind
    session.resize(cast("int", size["rows"]), cast("int", size["columns"]))
    await _ask(sandbox, session, {"type": "resize", **size, **_operation(request)}, "resize")


def window_size(value: Mapping[str, object]) -> dict[str, object]:
    """``rows`` and ``columns`` of ``value``, checked. Raises `InvalidRequest`."""
    size: dict[str, object] = {}
    for name in ("rows", "columns"):
        number = value.get(name)
        if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= MAX_WINDOW_SIDE:
            raise InvalidRequest(f"{name} must be 1 to {MAX_WINDOW_SIDE}, not {number!r:.20}")
        size[name] = number
    return size


def _operation(request: Mapping[str, object]) -> dict[str, object]:
    """The client's own id for what it asks, by which the agent knows a request that was sent again."""
    op = request.get("op_id")
    if op is None:
        return {}
    if not isinstance(op, str) or not 0 < len(op) <= 64 or not op.isascii():
        raise InvalidRequest("op_id is 1 to 64 ASCII characters")
    return {"op": f"client-{op}"}


async def _ask(
    sandbox: Sandbox, session: Session, message: dict[str, object], doing: str, *, left: bool = False
) -> None:
    """``left``: it also makes sense for an ended session that left something running."""
    name, key = sandbox.name, session.row.id
    ended = WrongState(
        f"cannot {doing} session {key}: it has ended",
        sandbox=name,
        hint=f"sandtop signal --all {name} {key} reaches what it left running"
        if session.left and not left
        else f"sandtop sessions {name} shows how",
    )
    if session.ended and not (left and await _has_left(sandbox, session)):
        raise ended
    await sandbox.adopted()
    machine = sandbox.running_machine(doing)
    answer = await machine.link.request({**message, "id": session.row.id}, _DEADLINE)
    error = answer.get("error")
    if not isinstance(error, dict):
        return
    said = cast("Mapping[str, object]", error)
    if said.get("code") in ("ended", "no-such-session"):
        raise ended
    raise InvalidRequest(
        f"cannot {doing} session {session.row.id}: {printable(str(said.get('message')))}",
        sandbox=sandbox.name,
    )
