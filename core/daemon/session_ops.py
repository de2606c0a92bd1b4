"""The operations on sessions."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.daemon.claims import claim_of
from sandtop.core.daemon.connection import ClientGone
from sandtop.core.daemon.following import Follower
from sandtop.core.daemon.logs import send_logs
from sandtop.core.daemon.starting import SESSION_ID, start_message
from sandtop.core.daemon.steering import end_left, resize, send_signal
from sandtop.core.daemon.viewing import view_of
from sandtop.core.daemon.views import page, session_view
from sandtop.core.errors import InvalidRequest, NotFound, SpawnError, WrongState
from sandtop.core.fleet import environment
from sandtop.core.sessions import STDERR, STDOUT, spawn_message
from sandtop.core.store import SessionRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.daemon.connection import Connection
    from sandtop.core.fleet import Fleet, Sandbox
    from sandtop.core.sessions import Session

_LINK_PATIENCE: Final = 10.0
"""Seconds that a new session waits for a link that is just being made again."""
_START_PATIENCE: Final = 60.0
Result = dict[str, object]


async def execute(fleet: Fleet, connection: Connection, request: Mapping[str, object]) -> Result | None:
    """``session.exec``: start a session, unless its id says that it was, and follow it."""
    key = request.get("id")
    if not isinstance(key, str) or not SESSION_ID.match(key):
        raise InvalidRequest("a session's id is 16 hexadecimal digits, made by the client")
    offsets = _offsets(request)
    sandbox = fleet.history(request.get("sandbox"))
    session = _known(fleet, sandbox, key)
    if session is None:
        sandbox = fleet.get(request.get("sandbox"))
        session = await _start(fleet, sandbox, key, request)
    if request.get("detach") is True:
        return await _detached(sandbox, session)
    claim = claim_of(request, connection.peer, client=key, wanted=_takes_input(session))
    try:
        view = view_of(request, joins=False)
        await Follower(connection, sandbox, session, offsets, claim, view, fleet.screens).run()
    except ClientGone:
        if session.row.on_hangup == "kill":
            sandbox.sessions.disconnected(session)
        raise
    return None


def _known(fleet: Fleet, sandbox: Sandbox, key: str) -> Session | None:
    for other in fleet.with_history():
        session = other.sessions.find(key)
        if session is not None:
            if other is not sandbox:
                raise InvalidRequest(f"the session {key} belongs to {other.name}", sandbox=sandbox.name)
            return session
    return None


async def _start(fleet: Fleet, sandbox: Sandbox, key: str, request: Mapping[str, object]) -> Session:
    start = start_message(sandbox, request)
    labels = environment(request, "labels")
    on_hangup = request.get("on_hangup") or "keep"
    if on_hangup not in ("keep", "kill"):
        raise InvalidRequest(f"on_hangup is keep or kill, not {on_hangup!r:.40}", sandbox=sandbox.name)
    await sandbox.adopted()
    await sandbox.running_machine("exec in").link.wait_up(_LINK_PATIENCE)
    # much may have happened meanwhile: the machine may be gone, and the same request come on another connection
    sandbox.running_machine("exec in")
    session = _known(fleet, sandbox, key)
    if session is not None:
        return session
    row = SessionRow(
        id=key,
        uuid=sandbox.row.uuid,
        number=sandbox.sessions.next_number(),
        start=start,
        state="starting",
        created_at=time.time(),
        labels=labels,
        on_hangup="keep" if request.get("detach") is True else str(on_hangup),
    )
    return sandbox.sessions.start(row)


def _takes_input(session: Session) -> bool:
    return session.row.tty or session.row.start.get("stdin") is True


def _offsets(request: Mapping[str, object]) -> dict[int, int]:
    offsets: dict[int, int] = {}
    for stream, name in ((STDOUT, "stdout"), (STDERR, "stderr")):
        value = request.get(name)
        if value is None:
            value = 0
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidRequest(f"{name} must be an offset, not {value!r:.40}")
        offsets[stream] = value
    return offsets


async def _detached(sandbox: Sandbox, session: Session) -> Result:
    """The session as soon as it runs. Raises `SpawnError` when it could not."""
    with trio.move_on_after(_START_PATIENCE):
        while session.row.pid is None and not session.ended:
            await session.wait_for_news()
    record = session.record
    if record is not None and record.reason == "spawn":
        cwd = session.row.start.get("cwd")
        raise SpawnError(
            spawn_message(record, session.row.argv, cast("str | None", cwd)),
            stage=record.stage or "exec",
            errno=record.errno or 0,
            sandbox=sandbox.name,
        )
    return {"session": session_view(sandbox, session)}


async def follow(fleet: Fleet, connection: Connection, request: Mapping[str, object]) -> Result | None:
    """``session.follow``."""
    sandbox, session = find_session(fleet, request)
    claim = claim_of(request, connection.peer, client=secrets.token_hex(8), wanted=False)
    if request.get("terminal") is True or request.get("output") is False:
        _check_terminal(sandbox, session, returns=claim.resumed or request.get("stdout") is not None)
    claim.check(session, sandbox.name)
    view = view_of(request, joins=True)
    await Follower(connection, sandbox, session, _offsets(request), claim, view, fleet.screens).run()
    return None


def _check_terminal(sandbox: Sandbox, session: Session, *, returns: bool) -> None:
    """Raises `WrongState` for a session that has no terminal to attach to, or none any more.

    A client that ``returns``, after a break, is told how it ended.
    """
    name, key = sandbox.name, session.row.id
    if not session.row.tty:
        raise WrongState(
            f"session {key} has no terminal", sandbox=name, hint=f"sandtop logs -f {name} {key} follows it"
        )
    if session.ended and not returns:
        raise WrongState(
            f"session {key} has ended", sandbox=name, hint=f"sandtop logs {name} {key} shows what it wrote"
        )


async def logs(fleet: Fleet, connection: Connection, request: Mapping[str, object]) -> Result | None:
    """``session.logs``."""
    sandbox, session = find_session(fleet, request)
    await send_logs(connection, session, request)
    return {"session": session_view(sandbox, session)}


def find_session(fleet: Fleet, request: Mapping[str, object]) -> tuple[Sandbox, Session]:
    """The session that ``request`` names; without a name the sandbox's latest. Raises `NotFound`, `InvalidRequest`."""
    reference = request.get("session")
    if reference is not None and not isinstance(reference, str):
        raise InvalidRequest("a session is named by its id")
    if request.get("sandbox") is None:
        return _anywhere(fleet, reference or "")
    sandbox = fleet.history(request.get("sandbox"))
    if reference is not None:
        return sandbox, _of_this_sandbox(fleet, sandbox, reference)
    sessions = sandbox.sessions.all()
    if not sessions:
        raise NotFound(
            f"nothing has run in {sandbox.name} yet",
            sandbox=sandbox.name,
            hint=f"sandtop exec {sandbox.name} -- COMMAND",
        )
    return sandbox, sessions[-1]


def _of_this_sandbox(fleet: Fleet, sandbox: Sandbox, reference: str) -> Session:
    try:
        return sandbox.sessions.get(reference)
    except NotFound:
        for other in fleet.with_history():
            if other.sessions.find(reference) is not None:
                raise NotFound(
                    f"the session {reference} is not of {sandbox.name} but of {other.name}",
                    sandbox=sandbox.name,
                    hint=f"sandtop sessions {other.name} lists it",
                ) from None
        raise


def _anywhere(fleet: Fleet, reference: str) -> tuple[Sandbox, Session]:
    found: list[tuple[Sandbox, Session]] = []
    for sandbox in fleet.with_history():
        try:
            found.append((sandbox, sandbox.sessions.get(reference)))
        except NotFound:
            continue
    if len(found) > 1:
        raise InvalidRequest(
            f"sessions of {len(found)} sandboxes begin with {reference}", hint="give more of the id"
        )
    if not found:
        raise NotFound(f"no session {reference[:80]}", hint="sandtop sessions lists them")
    return found[0]


def list_sessions(fleet: Fleet, request: Mapping[str, object]) -> Result:
    """``session.list``."""
    reference = request.get("sandbox")
    sandboxes = fleet.with_history() if reference is None else [fleet.history(reference)]
    everything = [(owner, each) for owner in sandboxes for each in owner.sessions.all()]
    found, more = page(everything, lambda pair: session_view(*pair), "id", request.get("before"))
    return {"sessions": found, "more": more}


async def signal_session(fleet: Fleet, request: Mapping[str, object]) -> Result:
    """``session.signal``."""
    sandbox, session = find_session(fleet, request)
    await send_signal(sandbox, session, request)
    return {}


async def resize_session(fleet: Fleet, request: Mapping[str, object]) -> Result:
    """``session.resize``."""
    sandbox, session = find_session(fleet, request)
    await resize(sandbox, session, request)
    return {}


def acknowledge_sessions(fleet: Fleet, request: Mapping[str, object]) -> Result:
    """``session.acknowledge``: somebody has seen how these sessions ended, or that they wait at a prompt."""
    sandbox = fleet.history(request.get("sandbox"))
    keys = request.get("sessions")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in cast("list[object]", keys)):
        raise InvalidRequest("sessions are a list of ids", sandbox=sandbox.name)
    sessions = [_of_this_sandbox(fleet, sandbox, key) for key in cast("list[str]", keys)]
    for session in sessions:
        if not session.ended and not session.waiting:
            raise WrongState(
                f"session {session.row.id} has not ended, nor does it wait at a prompt",
                sandbox=sandbox.name,
                hint=f"sandtop sessions {sandbox.name} lists those that have",
            )
    for session in sessions:
        sandbox.sessions.acknowledge(session)
    return {"sessions": [session_view(sandbox, session) for session in sessions]}


async def remove_session(fleet: Fleet, request: Mapping[str, object]) -> Result:
    """``session.rm``: forget an ended session and its log, and end what it left running."""
    sandbox, session = find_session(fleet, request)
    if not session.ended:
        raise WrongState(
            f"session {session.row.id} has not ended",
            sandbox=sandbox.name,
            hint=f"end it first: sandtop signal {sandbox.name} {session.row.id}",
        )
    await end_left(sandbox, session)
    if sandbox.sessions.find(session.row.id) is session:  # nobody else has removed it meanwhile
        sandbox.sessions.remove(session)
    return {}
