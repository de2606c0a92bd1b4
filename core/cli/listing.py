"""``sandtop ls``, ``sessions`` and ``inspect``: lists, and all about one sandbox."""

from __future__ import annotations

from sandtop.core.client.link import as_list, call, call_all
from sandtop.core.errors import InvalidRequest
from sandtop.core.phrases import FILES_COPIED

from ._args import Parser
from ._output import age, duration, size, table, write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

_ARGV_SHOWN: Final = 60
"""Characters of a command that the table shows."""


def ls_main(argv: Sequence[str]) -> int:
    """List the sandboxes."""
    parser = Parser(
        "ls", "[OPTIONS]", "List the sandboxes.", "  sandtop ls\n  sandtop ls --json | jq '.[].name'"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="names only")
    parser.json()
    options = parser.parse_args(list(argv))
    sandboxes = call_all("sandbox.list")
    if options.json:
        write_json(sandboxes)
    elif options.quiet:
        write("".join(f"{sandbox['name']}\n" for sandbox in sandboxes))
    else:
        columns = ("name", "state", "image", "cpus", "memory", "sessions", "age", "reason")
        table(columns, [_sandbox_row(sandbox) for sandbox in sandboxes])
    return 0


def _sandbox_row(sandbox: Mapping[str, object]) -> tuple[object, ...]:
    get = sandbox.get
    reason = get("attention") or get("reason") or ""
    return (
        get("name"), get("state"), get("image"), get("cpus"), f"{get('memory')} MiB", get("sessions"),
        age(get("created_at")), reason,
    )  # fmt: skip


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
    sessions = call_all("session.list", {"sandbox": options.name})
    if options.json:
        write_json(sessions)
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
        call("session.rm", {"sandbox": name, "session": session})
    return 0


def _session_row(session: Mapping[str, object]) -> tuple[object, ...]:
    get = session.get
    status = "-" if get("exit_code") is None else str(get("exit_code"))
    if get("reason") not in (None, "exited"):
        status += f" ({get('reason')})"
    ended, started = get("ended_at"), get("started_at")
    ran = (
        duration(ended - started) if isinstance(ended, float) and isinstance(started, float) else age(started)
    )
    return (
        get("id"), get("sandbox"), get("state"), status, age(started), ran, get("left") or "-",
        size(get("stdout_bytes")),
        size(get("stderr_bytes")), size(get("stdin_bytes")), get("attached"), get("input_holder") or "-",
        _command(get("argv")) + (" (tty)" if get("tty") else ""),
    )  # fmt: skip


def _command(argv: object) -> str:
    import shlex

    line = shlex.join(str(word) for word in as_list(argv)) or FILES_COPIED
    return line if len(line) <= _ARGV_SHOWN else line[: _ARGV_SHOWN - 1] + "…"


def inspect_main(argv: Sequence[str]) -> int:
    """Print all that the core knows about one sandbox."""
    parser = Parser(
        "inspect", "NAME", "All about one sandbox, as JSON.", "  sandtop inspect demo | jq .machine"
    )
    parser.add_argument("name", metavar="NAME", help="the sandbox")
    parser.json()
    options = parser.parse_args(list(argv))
    result = call("sandbox.inspect", {"sandbox": options.name})
    write_json({name: value for name, value in result.items() if name != "type"})
    return 0
