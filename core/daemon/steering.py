"""Signals and window sizes: checked, and passed to the agent."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.errors import InvalidRequest, WrongState
from sandtop.core.fleet import State
from sandtop.core.sessions import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.contract.session import SessionResize, SessionSignal
    from sandtop.core.contract.session_events import Resize, Signal
    from sandtop.core.fleet import Sandbox
    from sandtop.core.sessions import Session

_DEADLINE: Final = 10.0


async def send_signal(sandbox: Sandbox, session: Session, asked: SessionSignal | Signal, by: str) -> None:
    """Send the signal that is ``asked`` for; with the scope ``all`` also to what an ended session left running.

    ``by``: what people know by who asks.

    Raises `InvalidRequest`, `WrongState` for one that has ended, `ChannelError`.
    """
    number = asked.signal
    if not 0 < number < signal.NSIG:
        raise InvalidRequest(f"there is no signal {number!r:.20}", sandbox=sandbox.name)
    session.was_sent(number, by)
    message = {"type": "signal", "signal": number, "scope": asked.scope, **_operation(asked.op_id)}
    await _ask(sandbox, session, message, "signal", left=asked.scope == "all")
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


async def resize(sandbox: Sandbox, session: Session, asked: SessionResize | Resize) -> None:
    """Set the window size of a session's terminal. Raises as `send_signal`."""
    if not session.row.tty:
        raise InvalidRequest(f"session {session.row.id} has no terminal", sandbox=sandbox.name)
    # before the agent is asked: what the program draws for it comes behind
    session.resize(asked.rows, asked.columns)
    message = {"type": "resize", "rows": asked.rows, "columns": asked.columns, **_operation(asked.op_id)}
    await _ask(sandbox, session, message, "resize")


def _operation(op_id: str | None) -> dict[str, object]:
    """The client's own id for what it asks, by which the agent knows a request that was sent again."""
    return {} if op_id is None else {"op": f"client-{op_id}"}


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
