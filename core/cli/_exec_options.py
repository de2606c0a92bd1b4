"""The options of ``exec``, ``shell`` and ``run``, for argparse. Their defaults are in `_exec_request.Options`."""

from __future__ import annotations

from ._args import Parser, pair, rlimit, seconds, variable


def add_shared_options(parser: Parser) -> None:
    """Add the options that all three have."""
    add = parser.add_argument
    add("-i", "--stdin", action="store_true", help="pass this stdin on, and its end")
    add("-t", "--tty", action="store_true", help="run it on a terminal of its own (as large as this one)")
    add(
        "--stderr-to-stdout",
        action="store_true",
        help="both on stdout, in the order in which they were written",
    )
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
    """Add the options of ``exec`` and ``shell``: they hold for one session, and change nothing of the sandbox."""
    add_shared_options(parser)
    add = parser.add_argument
    add("-d", "--detach", action="store_true", help="print the session's id and leave it running")
    add(
        "-e", "--env", action="append", type=variable, metavar="KEY=VALUE", help="set a variable (repeatable)"
    )
    add("-w", "--cwd", metavar="DIR", help="working directory")
    add("-u", "--user", metavar="USER", help="name, uid, uid:gid or name:group")
    add(
        "--label",
        action="append",
        type=pair,
        metavar="KEY=VALUE",
        help="label the session (repeatable); without NAME: in all sandboxes that have it",
    )
