"""What the operations on sessions answer, and the objects that are in it."""

from __future__ import annotations

from .record import Record

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .limits import Time


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
        cause: why it ended badly, in a line: what it said last, the limit that it reached, who killed it. None when
            that is not known, or nothing is wrong.
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
    cause: str | None = None


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
        foreground: the command line of the program in its terminal's foreground, while it runs; None: not known.
        last_line: the last line that it wrote, without colours, or its beginning; None without output, and on a
            terminal on which a full-screen program draws.
        output_at: when output came last, seconds since the epoch; None before any came, and where that is not known.
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
    foreground: str | None = None
    last_line: str | None = None
    output_at: Time | None = None


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
