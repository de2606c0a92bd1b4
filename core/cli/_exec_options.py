"""The options of ``exec``, ``shell`` and ``run``, and the request they make."""

from __future__ import annotations

import os

from sandtop.core.client.exchange import new_id
from sandtop.core.errors import InvalidRequest

from ._args import Parser, pair, rlimit, seconds, variable

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import argparse


def add_shared_options(parser: Parser) -> None:
    """What ``run`` has too."""
    add = parser.add_argument
    add("-i", "--stdin", action="store_true", help="pass this stdin on, and its end")
    add("-t", "--tty", action="store_true", help="run it on a terminal of its own (as large as this one)")
    add(
        "--timeout",
        type=seconds,
        metavar="TIME",
        help="kill it after so long (30, 1.5s, 5m): exit status 124",
    )
    add(
        "--rlimit",
        action="append",
        type=rlimit,
        metavar="NAME=SOFT[:HARD]",
        help="a resource limit, such as nofile=1024 (repeatable)",
    )


def add_options(parser: Parser) -> None:
    """What applies to one execution and never changes the sandbox's defaults."""
    add_shared_options(parser)
    add = parser.add_argument
    add("-d", "--detach", action="store_true", help="print the session's id and leave it running")
    add(
        "-e", "--env", action="append", type=variable, metavar="KEY=VALUE", help="set a variable (repeatable)"
    )
    add("-w", "--cwd", metavar="DIR", help="working directory")
    add("-u", "--user", metavar="USER", help="name, uid, uid:gid or name:group")
    add("--label", action="append", type=pair, metavar="KEY=VALUE", help="label the session (repeatable)")


def shared_fields(options: argparse.Namespace, sandbox: str) -> dict[str, object]:
    """The fields of ``session.exec`` that `add_shared_options` fills."""
    return {
        "sandbox": sandbox,
        "id": new_id(),
        "timeout": options.timeout,
        "rlimits": dict(options.rlimit or ()),
        "tty": _terminal_size() if options.tty else None,
        "stdin": bool(options.stdin),
    }


def request_fields(options: argparse.Namespace, sandbox: str) -> dict[str, object]:
    """The fields of ``session.exec`` but for what is to run. Raises `InvalidRequest`."""
    if options.detach and options.stdin:
        raise InvalidRequest(
            "-d and -i exclude each other", hint="a detached command has nobody to read from"
        )
    return {
        **shared_fields(options, sandbox),
        "env": dict(options.env or ()),
        "cwd": options.cwd,
        "user": options.user,
        "labels": dict(options.label or ()),
        "detach": bool(options.detach),
        # a client that is killed leaves the command running, as its signals are passed on, not its death
        "on_hangup": "keep",
    }


def _terminal_size() -> dict[str, int]:
    for fd in (1, 0, 2):
        try:
            size = os.get_terminal_size(fd)
        except OSError:
            continue
        if size.lines and size.columns:
            return {"rows": size.lines, "columns": size.columns}
    return {"rows": 24, "columns": 80}
