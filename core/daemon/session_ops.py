"""The operations on sessions."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.channel import too_old
from sandtop.core.contract.record import Nothing
from sandtop.core.contract.session import (
    SessionAcknowledge,
    SessionExec,
    SessionFollow,
    SessionList,
    SessionLogs,
    SessionRemove,
    SessionResize,
    SessionSignal,
)
from sandtop.core.contract.session_results import SessionAnswer, SessionEnd, SessionPage, SessionsAnswer
from sandtop.core.daemon.claims import MAX_LABEL, claim_of
from sandtop.core.daemon.connection import ClientGone
from sandtop.core.daemon.dispatch import answers, makes, serves
from sandtop.core.daemon.following import Follower
from sandtop.core.daemon.logs import send_logs
from sandtop.core.daemon.starting import start_message
from sandtop.core.daemon.steering import end_left, resize, send_signal
from sandtop.core.daemon.viewing import view_of_follower, view_of_new
from sandtop.core.daemon.views import page, session_view
from sandtop.core.errors import InvalidRequest, NotFound, SpawnError, WrongState
from sandtop.core.sessions import STDERR, STDOUT, printable, spawn_message
from sandtop.core.store import SessionRow

if TYPE_CHECKING:
    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.dispatch import Core
    from sandtop.core.daemon.once import Work
    from sandtop.core.fleet import Fleet, Sandbox
    from sandtop.core.sessions import Session

_LINK_PATIENCE: Final = 10.0
"""Seconds that a new session waits for a link that is just being made again."""
_START_PATIENCE: Final = 60.0


@serves(SessionExec)
async def execute(core: Core, request: SessionExec, connection: Connection) -> SessionEnd | None:
    """Start a session, unless its id says that it was, and follow it."""
    fleet, key = core.fleet, request.id
    sandbox = fleet.history(request.sandbox)
    session = _known(fleet, sandbox, key)
    if session is None:
        sandbox = fleet.get(request.sandbox)
        session = await _start(fleet, sandbox, request)
    if request.detach:
        return await _detached(sandbox, session)
    claim = claim_of(request, connection.peer, client=key, wanted=_takes_input(session))
    try:
        view = view_of_new(request)
        await Follower(connection, sandbox, session, _offsets(request), claim, view, fleet.screens).run()
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


async def _start(fleet: Fleet, sandbox: Sandbox, request: SessionExec) -> Session:
    start = start_message(sandbox, request)
    await sandbox.adopted()
    await sandbox.running_machine("exec in").link.wait_up(_LINK_PATIENCE)
    # much may have happened meanwhile: the machine may be gone, and the same request come on another connection
    machine = sandbox.running_machine("exec in")
    if request.merge and not machine.link.merges:
        raise too_old(sandbox.name, "keeps stdout and stderr apart", instead="or let a shell do it: 2>&1")
    session = _known(fleet, sandbox, request.id)
    if session is not None:
        return session
    row = SessionRow(
        id=request.id,
        uuid=sandbox.row.uuid,
        number=sandbox.sessions.next_number(),
        start=start,
        state="starting",
        created_at=time.time(),
        labels=request.labels or {},
        on_hangup="keep" if request.detach else request.on_hangup,
    )
    return sandbox.sessions.start(row)


def _takes_input(session: Session) -> bool:
    return session.row.tty or session.row.start.get("stdin") is True


def _offsets(request: SessionExec | SessionFollow) -> dict[int, int]:
    return {STDOUT: request.stdout or 0, STDERR: request.stderr or 0}


async def _detached(sandbox: Sandbox, session: Session) -> SessionEnd:
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
    return SessionEnd(session=session_view(sandbox, session))


@serves(SessionFollow)
async def follow(core: Core, request: SessionFollow, connection: Connection) -> SessionEnd | None:
    sandbox, session = find_session(core.fleet, request.sandbox, request.session)
    claim = claim_of(request, connection.peer, client=secrets.token_hex(8), wanted=False)
    if request.terminal or not request.output:
        _check_terminal(sandbox, session, returns=claim.resumed or request.stdout is not None)
    claim.check(session, sandbox.name)
    view, screens = view_of_follower(request), core.fleet.screens
    await Follower(connection, sandbox, session, _offsets(request), claim, view, screens).run()
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


@serves(SessionLogs)
async def logs(core: Core, request: SessionLogs, connection: Connection) -> SessionAnswer:
    sandbox, session = find_session(core.fleet, request.sandbox, request.session)
    await send_logs(connection, session, request)
    return SessionAnswer(session=session_view(sandbox, session))


def find_session(fleet: Fleet, name: str | None, reference: str | None) -> tuple[Sandbox, Session]:
    """The session ``reference`` of the sandbox ``name``, or of whichever has it; without a ``reference`` the latest.

    Raises `NotFound`, `InvalidRequest`.
    """
    if name is None:
        return _anywhere(fleet, reference or "")
    sandbox = fleet.history(name)
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


@answers(SessionList)
async def list_sessions(core: Core, request: SessionList) -> SessionPage:
    fleet, name = core.fleet, request.sandbox
    sandboxes = fleet.with_history() if name is None else [fleet.history(name)]
    everything = [(owner, each) for owner in sandboxes for each in owner.sessions.all()]
    found, more = page(everything, lambda pair: session_view(*pair), "id", request.before)
    return SessionPage(sessions=found, more=more)


@answers(SessionSignal)
async def signal_session(core: Core, request: SessionSignal) -> Nothing:
    sandbox, session = find_session(core.fleet, request.sandbox, request.session)
    await send_signal(
        sandbox, session, request, printable(request.label or "a client of sandtop")[:MAX_LABEL]
    )
    return Nothing()


@answers(SessionResize)
async def resize_session(core: Core, request: SessionResize) -> Nothing:
    sandbox, session = find_session(core.fleet, request.sandbox, request.session)
    await resize(sandbox, session, request)
    return Nothing()


@answers(SessionAcknowledge)
async def acknowledge_sessions(core: Core, request: SessionAcknowledge) -> SessionsAnswer:
    sandbox = core.fleet.history(request.sandbox)
    sessions = [_of_this_sandbox(core.fleet, sandbox, key) for key in request.sessions]
    for session in sessions:
        if not session.ended and not session.waiting:
            raise WrongState(
                f"session {session.row.id} has not ended, nor does it wait at a prompt",
                sandbox=sandbox.name,
                hint=f"sandtop sessions {sandbox.name} lists those that have",
            )
    for session in sessions:
        sandbox.sessions.acknowledge(session, undo=request.undo)
    return SessionsAnswer(sessions=[session_view(sandbox, session) for session in sessions])


@makes(SessionRemove)
async def remove_session(core: Core, request: SessionRemove, work: Work) -> Nothing:
    """Forget an ended session and its log, and end what it left running."""
    try:
        sandbox, session = find_session(core.fleet, request.sandbox, request.session)
    except NotFound:
        if work.repeated:
            return Nothing()
        raise
    if not session.ended:
        raise WrongState(
            f"session {session.row.id} has not ended",
            sandbox=sandbox.name,
            hint=f"end it first: sandtop signal {sandbox.name} {session.row.id}",
        )
    await end_left(sandbox, session)
    if sandbox.sessions.find(session.row.id) is session:  # nobody else has removed it meanwhile
        sandbox.sessions.remove(session)
    return Nothing()
