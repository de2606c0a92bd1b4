"""``sandtop ls``, ``sessions`` and ``inspect``: lists, and all about one sandbox."""

from __future__ import annotations

from sandtop.core.client.link import call, call_all, sandbox_listing, session_listing, where
from sandtop.core.contract.sandbox import SandboxInspect
from sandtop.core.contract.session import SessionRemove
from sandtop.core.errors import InvalidRequest
from sandtop.core.phrases import FILES_COPIED

from ._args import Parser, add_label, labelled
from ._output import age, duration, size, table, write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from sandtop.core.contract.sandbox import SandboxInfo
    from sandtop.core.contract.session_results import SessionInfo

_SHOWN: Final = 60
"""Characters of a command, or a cause, that a table shows."""


def ls_main(argv: Sequence[str]) -> int:
    """List the sandboxes."""
    parser = Parser(
        "ls",
        "[OPTIONS]",
        "List the sandboxes.",
        "  sandtop ls\n  sandtop ls --json | jq '.[].name'\n  sandtop stop $(sandtop ls -q --label team=a)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="names only")
    add_label(parser, "those with this label (repeatable)")
    parser.json()
    options = parser.parse_args(list(argv))
    sandboxes = labelled(call_all(sandbox_listing()), options.label)
    if options.json:
        write_json([sandbox.to_json() for sandbox in sandboxes])
    elif options.quiet:
        write("".join(f"{sandbox.name}\n" for sandbox in sandboxes))
    else:
        columns = ("name", "state", "image", "cpus", "memory", "disk", "sessions", "ports", "age", "reason")
        table(columns, [_sandbox_row(sandbox) for sandbox in sandboxes])
    return 0


def _sandbox_row(sandbox: SandboxInfo) -> tuple[object, ...]:
    reason = sandbox.attention or sandbox.reason or ""
    if sandbox.attention and sandbox.attention_at is not None:
        reason += f" · {age(sandbox.attention_at)}"
    return (
        sandbox.name, sandbox.state, sandbox.image, sandbox.cpus, f"{sandbox.memory} MiB", _disk(sandbox),
        sandbox.sessions,
        ", ".join(f"{where(port)}->{port.guest_port}" for port in sandbox.ports) or "-",
        age(sandbox.created_at), reason,
    )  # fmt: skip


def _disk(sandbox: SandboxInfo) -> str:
    """What its disk takes on the host, of what it may take."""
    of = size(sandbox.disk << 20)
    return of if sandbox.disk_used is None else f"{size(sandbox.disk_used)} of {of}"


def sessions_main(argv: Sequence[str]) -> int:
    """List sessions, running and ended; or remove ended ones."""
    parser = Parser(
        "sessions",
        "[OPTIONS] [NAME]",
        "List what runs and ran, in one sandbox or all.",
        "  sandtop sessions demo\n  sandtop sessions --json\n  sandtop sessions demo --remove 3fa9",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the sandbox; else all")
    parser.add_argument(
        "--remove",
        action="append",
        metavar="SESSION",
        help="forget an ended session and its output, and end what it left running (repeatable)",
    )
    parser.json()
    options = parser.parse_args(list(argv))
    if options.remove:
        return _remove(options.name, options.remove)
    sessions = call_all(session_listing(options.name))
    if options.json:
        write_json([session.to_json() for session in sessions])
    else:
        columns = (
            "id",
            "sandbox",
            "state",
            "exit",
            "age",
            "ran",
            "left",
            "out",
            "err",
            "in",
            "clients",
            "input",
            "cause",
            "command",
        )
        table(columns, [_session_row(session) for session in sessions])
    return 0


def _remove(name: str | None, sessions: Sequence[str]) -> int:
    if name is None:
        raise InvalidRequest(
            "--remove needs the sandbox", hint="such as: sandtop sessions demo --remove 3fa9"
        )
    for session in dict.fromkeys(sessions):  # one that is named twice is removed once
        call(SessionRemove(sandbox=name, session=session))
    return 0


def _session_row(session: SessionInfo) -> tuple[object, ...]:
    status = "-" if session.exit_code is None else str(session.exit_code)
    if session.reason not in (None, "exited"):
        status += f" ({session.reason})"
    ended, started = session.ended_at, session.started_at
    ran = age(started) if ended is None or started is None else duration(ended - started)
    return (
        session.id, session.sandbox, session.state, status, age(started), ran, session.left or "-",
        size(session.stdout_bytes), size(session.stderr_bytes), size(session.stdin_bytes), session.attached,
        session.input_holder or "-", shortened(cause_of(session) or "-"),
        command(session.argv) + (" (tty)" if session.tty else ""),
    )  # fmt: skip


def command(argv: Sequence[str]) -> str:
    """A command line, as much of it as a table shows."""
    import shlex

    return shortened(shlex.join(argv) or FILES_COPIED)


def shortened(text: str) -> str:
    """As much of ``text`` as a column of a table shows."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def cause_of(session: SessionInfo) -> str | None:
    """Why a session ended badly, where that is known."""
    return session.record.cause if session.record else None


def inspect_main(argv: Sequence[str]) -> int:
    """Print all that the core knows about one sandbox."""
    parser = Parser(
        "inspect", "NAME", "All about one sandbox, as JSON.", "  sandtop inspect demo | jq .machine"
    )
    parser.add_argument("name", metavar="NAME", help="the sandbox")
    parser.json()
    options = parser.parse_args(list(argv))
    write_json(call(SandboxInspect(sandbox=options.name)).to_json())
    return 0
