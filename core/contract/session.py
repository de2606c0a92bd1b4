"""``session.…``: what runs in sandboxes."""

from __future__ import annotations

from .record import Change, Event, Nothing, Record, Request, Stream

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


class ExitRecord(Record):
    """How a session ended, as its agent or the core saw it.

    Attributes:
        reason: exited, signaled, timeout, oom, spawn (it never ran), vm-died or unknown (its agent made
            no sense).
        code: the exit code, of ``exited``.
        signal: the number of the signal that ended it.
        stage, errno, message: what failed, of ``spawn``; ``message`` says why also for ``vm-died``.
        stdout, stderr: how many bytes of it came.
        duration_ms, cpu_us, memory_peak: milliseconds, microseconds, bytes; None when not known.
        source: who saw it, ``agent`` or ``core``.
        missing: how many bytes more its agent spoke of.
    """

    reason: str
    code: int | None = None
    signal: int | None = None
    stage: str | None = None
    errno: int | None = None
    message: str | None = None
    stdout: int = 0
    stderr: int = 0
    duration_ms: int | None = None
    cpu_us: int | None = None
    memory_peak: int | None = None
    source: str = "agent"
    missing: int = 0


class SessionInfo(Record):
    """A session as it was when the core was asked.

    Attributes:
        argv: its command line; of a very long one the beginning. Empty for a copy of files.
        argv_length: how many arguments there were.
        state: starting, running, exited, failed (it never ran) or lost (its machine died).
        exit_code, signal, reason: how it ended; None while it runs.
        started_at, ended_at: seconds since the epoch.
        pid: in the sandbox.
        left: how many processes it left running when it ended, and that still run.
        stdout_bytes, stderr_bytes, stdin_bytes: how much it wrote, and how much input it took.
        attached: how many clients follow it.
        input_holder: which of them may write, or None.
        record: how it ended, once it has.
        waiting: its program waits for somebody to type.
        attention: why somebody should look at it, or None: how it ended badly, or that it waits at a prompt.
        acknowledged: somebody said to have seen how it ended.
    """

    id: str
    sandbox: str
    argv: list[str]
    argv_length: int = 0
    tty: bool
    state: str
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    started_at: Time | None = None
    ended_at: Time | None = None
    labels: dict[str, str]
    pid: int | None = None
    left: int = 0
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    stdin_bytes: int = 0
    attached: int = 0
    input_holder: str | None = None
    record: ExitRecord | None = None
    waiting: bool = False
    attention: str | None = None
    acknowledged: bool = False


class SessionAnswer(Record):
    """The session as it is now."""

    session: SessionInfo


class SessionPage(Record):
    """Of a list, oldest first: the newest that one answer holds. With ``more`` there are older ones."""

    sessions: list[SessionInfo]
    more: bool = False


class SessionsAnswer(Record):
    """These sessions as they are now."""

    sessions: list[SessionInfo]


class SessionEnd(Record):
    """The end of a session that was followed: all its output came before. ``record`` is None of a detached one."""

    record: ExitRecord | None = None
    session: SessionInfo


class ScreenAnswer(Record):
    """``bytes`` of JSON came before this on stream 3: a `Screen`."""

    session: SessionInfo
    bytes: int


class Cursor(Record):
    """Where the cursor is; the first row and the first column are 0."""

    row: int
    column: int
    visible: bool


class Screen(Record):
    """What shows on a terminal.

    Attributes:
        lines, scrollback: rows as text, top to bottom; with ``ansi`` and SGR sequences.
        offset: the output before it made this.
        missing: bytes of it that fell to the log's cap before they were drawn.
        skipped: bytes of it that the screen worker died of, and that were left out.
    """

    rows: int
    columns: int
    lines: list[str]
    scrollback: list[str]
    cursor: Cursor
    title: str
    alternate_screen: bool
    application_cursor: bool
    offset: int
    missing: int
    skipped: int = 0


class Window(Record):
    """The size of a terminal."""

    rows: Side
    columns: Side


class Builtin(Record):
    """The agent's own code in place of a program, which copies files; docs/protocol.md says how.

    Attributes:
        name: ``tar-create`` (of ``paths``) or ``tar-extract`` (into ``path``; ``rename``, ``names``).
    """

    name: str
    paths: list[str] | None = None
    path: str | None = None
    rename: bool = False
    names: list[str] | None = None


class SessionExec(Stream[SessionEnd], op="session.exec", long=True):
    """Start a session, unless its id says that it was, and follow it; with ``detach`` the answer is the session.

    Attributes:
        id: made by the client.
        argv: the program and its arguments; or ``script``, for the sandbox's shell; or ``builtin``.
        timeout: seconds that it may take.
        rlimits: lower-case POSIX names to soft and hard limit, -1 for none.
        tty: it runs on a terminal of this size.
        stdin: it has an input. (On a terminal it has, too.)
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
    labels: Environment | None = None
    detach: bool = False
    on_hangup: Literal["keep", "kill"] = "keep"
    stdout: Offset | None = 0
    stderr: Offset | None = 0
    terminal: bool = False
    input: bool | None = None
    take: bool = False
    client: ClientId | None = None
    label: str | None = None
    resumed: bool = False


class SessionFollow(Stream[SessionEnd], op="session.follow"):
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


class SessionLogs(Stream[SessionAnswer], op="session.logs"):
    """What is stored of a session's output, in the order in which it came.

    Attributes:
        session: null: the latest.
        streams: ``stdout``, ``stderr``; null: both.
        since: seconds since the epoch.
        tail: a number of lines.
        timestamps: an `At` before each piece.
        stdout, stderr: offsets to go on from after a break.
    """

    sandbox: str | None = None
    session: str | None = None
    streams: list[Literal["stdout", "stderr"]] | None = None
    since: Time | None = None
    tail: Count | None = None
    follow: bool = False
    timestamps: bool = False
    stdout: Offset | None = None
    stderr: Offset | None = None


class SessionScreen(Stream[ScreenAnswer], op="session.screen"):
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


class SessionList(Request[SessionPage], op="session.list"):
    """The sessions of a sandbox, or of all. ``before``: older ones than that with this id."""

    sandbox: str | None = None
    before: str | None = None


class SessionSignal(Request[Nothing], op="session.signal"):
    """Send a signal; with the scope ``all`` also to what an ended session left running.

    Attributes:
        op_id: by which the agent knows a repeat.
        scope: its first process, that one's group (of a terminal the foreground one), or all that it started.
    """

    sandbox: str | None = None
    session: str | None = None
    signal: int
    scope: Scope = "group"
    op_id: OpId | None = None


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


class SessionAcknowledge(Request[SessionsAnswer], op="session.acknowledge"):
    """Somebody has seen how these ended, or that they wait at a prompt."""

    sandbox: str
    sessions: list[str]


# what a connection that follows a session carries beside bytes; docs/protocol.md says when


class Started(Event, kind="started"):
    """``session`` runs; ``pid`` is null when the program never did.

    Attributes:
        from_: where its output begins on this connection.
        live_from: where it ended when the connection began.
    """

    session: str
    pid: int | None
    tty: bool
    from_: int
    live_from: int


class ScreenBegins(Event, kind="screen"):
    """``bytes`` follow on stream 3 that make the screen that all output before ``offset`` made.

    ``sizes``: ``[offset, rows, columns]`` that the window had later.
    """

    offset: int
    rows: int
    columns: int
    bytes: int
    sizes: list[list[int]]


class Gap(Event, kind="gap"):
    """So many bytes of ``stream`` (1, 2) fell to the log's cap."""

    stream: int
    bytes: int


class Holder(Event, kind="holder"):
    """Who holds the input now; ``you``: this client."""

    label: str | None
    you: bool


class InputLost(Event, kind="lost-input"):
    """The input is this client's no more."""

    reason: str


class At(Event, kind="time"):
    """When the next piece of a log came, in seconds since the epoch."""

    at: float


class Signal(Event, kind="signal"):
    """From the client: as `SessionSignal`."""

    signal: int
    scope: Scope = "group"
    op_id: OpId | None = None


class Resize(Event, kind="resize"):
    """From the client: as `SessionResize`."""

    rows: Side
    columns: Side
    op_id: OpId | None = None


class Drawn(Event, kind="drawn"):
    """From the client: its terminal shows all output before ``offset``."""

    offset: Offset
