"""``session.…``: what clients ask about what runs in sandboxes. What comes back is in `session_results`: a command that
people wait for asks before it imports that.
"""

from __future__ import annotations

from .record import Change, Nothing, Part, Request, Stream

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Literal

    from .limits import (
        Argv,
        ClientId,
        Count,
        Environment,
        Offset,
        OpId,
        Scope,
        Seconds,
        SessionId,
        Side,
        Text,
        Time,
        Timeout,
        Variables,
    )
    from .session_results import ScreenAnswer, SessionAnswer, SessionEnd, SessionPage, SessionsAnswer


class Window(Part):
    """The size of a terminal."""

    rows: Side
    columns: Side


class Builtin(Part):
    """The agent's own code in place of a program, which copies files; docs/protocol.md says how.

    Attributes:
        name: ``tar-create`` (of ``paths``) or ``tar-extract`` (into ``path``; ``rename``, ``names``, ``owner``).
    """

    name: str
    paths: list[str] | None = None
    path: str | None = None
    rename: bool = False
    names: list[str] | None = None
    owner: Text | None = None


class SessionExec(Stream["SessionEnd"], op="session.exec", long=True):
    """Start a session, unless its id says that it was, and follow it; with ``detach`` the answer is the session.

    Attributes:
        id: made by the client.
        argv: the program and its arguments; or ``script``, for the sandbox's shell; or ``builtin``.
        timeout: seconds that it may take.
        rlimits: lower-case POSIX names to soft and hard limit, -1 for none.
        tty: it runs on a terminal of this size.
        stdin: it has an input. (On a terminal it has, too.)
        merge: its stderr goes where its stdout does, by one pipe: in the order in which it was written.
        awaited: the client waits for the news that it runs. If not, this may come a moment later, with the end.
        on_hangup: what becomes of it when its client goes away: ``keep`` (the default) or ``kill``.
        stdout, stderr: offsets to go on from after a break; null: another screen first.
        terminal: the client is a terminal: it takes a screen in place of what it is far behind.
        input: hold the input; null: if it has one.
        take: take the input from whoever holds it.
        client: the client's id, the same on each of its connections; null is ``id``.
        label: what people know the client by.
        resumed: an earlier connection of this client held the input.
    """

    sandbox: str
    id: SessionId
    argv: Argv | None = None
    script: str | None = None
    builtin: Builtin | None = None
    env: Variables | None = None
    cwd: Text | None = None
    user: Text | None = None
    timeout: Timeout | None = None
    rlimits: dict[str, list[int]] | None = None
    tty: Window | None = None
    stdin: bool = False
    merge: bool = False
    labels: Environment | None = None
    detach: bool = False
    awaited: bool = True
    on_hangup: Literal["keep", "kill"] = "keep"
    stdout: Offset | None = 0
    stderr: Offset | None = 0
    terminal: bool = False
    input: bool | None = None
    take: bool = False
    client: ClientId | None = None
    label: str | None = None
    resumed: bool = False


class SessionFollow(Stream["SessionEnd"], op="session.follow"):
    """Follow a session that is there; fields that `SessionExec` has mean the same.

    Attributes:
        sandbox: null: whichever has it.
        stdout: with ``terminal`` null for a screen first.
        rows, columns: the client's window, which becomes the session's if it holds the input.
        output: false: none is sent.
    """

    sandbox: str | None = None
    session: str | None = None
    stdout: Offset | None = None
    stderr: Offset | None = 0
    terminal: bool = False
    rows: Side | None = None
    columns: Side | None = None
    output: bool = True
    input: bool | None = None
    take: bool = False
    client: ClientId | None = None
    label: str | None = None
    resumed: bool = False


class SessionLogs(Stream["SessionAnswer"], op="session.logs"):
    """What is stored of a session's output, in the order in which it came.

    Attributes:
        session: null: the latest.
        streams: ``stdout``, ``stderr``; null: both.
        since: seconds since the epoch.
        tail: a number of lines …
        most: … in no more than about so many bytes, the newest.
        timestamps: an `At` before each piece.
        stdout, stderr: offsets to go on from after a break.
    """

    sandbox: str | None = None
    session: str | None = None
    streams: list[Literal["stdout", "stderr"]] | None = None
    since: Time | None = None
    tail: Count | None = None
    most: Count | None = None
    follow: bool = False
    timestamps: bool = False
    stdout: Offset | None = None
    stderr: Offset | None = None


class SessionScreen(Stream["ScreenAnswer"], op="session.screen"):
    """What shows on a session's terminal.

    Attributes:
        session: null: the latest on a terminal, one that runs first.
        scrollback: and the rows that went off the top.
        ansi: with colours and attributes.
        wait_for: a regular expression: answer once it shows …
        timeout: … within so many seconds.
    """

    sandbox: str | None = None
    session: str | None = None
    scrollback: bool = False
    ansi: bool = False
    wait_for: str | None = None
    timeout: Seconds | None = None


class SessionList(Request["SessionPage"], op="session.list"):
    """The sessions of a sandbox, or of all. ``before``: older ones than that with this id."""

    sandbox: str | None = None
    before: str | None = None


class SessionSignal(Request[Nothing], op="session.signal"):
    """Send a signal; with the scope ``all`` also to what an ended session left running.

    Attributes:
        op_id: by which the agent knows a repeat.
        scope: its first process, that one's group (of a terminal the foreground one), or all that it started.
        label: what people know the client by: the session's exit record names it when the signal ends it.
    """

    sandbox: str | None = None
    session: str | None = None
    signal: int
    scope: Scope = "group"
    op_id: OpId | None = None
    label: str | None = None


class SessionResize(Request[Nothing], op="session.resize"):
    """Give its terminal another size."""

    sandbox: str | None = None
    session: str | None = None
    rows: Side
    columns: Side
    op_id: OpId | None = None


class SessionRemove(Change[Nothing], op="session.rm"):
    """Forget an ended session and its log, and end what it left running."""

    sandbox: str | None = None
    session: str


class SessionAcknowledge(Request["SessionsAnswer"], op="session.acknowledge"):
    """Somebody has seen how these ended, or that they wait at a prompt; with ``undo`` they ask for somebody again."""

    sandbox: str
    sessions: list[str]
    undo: bool = False
