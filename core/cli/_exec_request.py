"""The options of ``exec``, ``shell`` and ``run`` as values, and the request that is made of them.

`_exec_options` has them for argparse, which is too slow to import for the plainest command line; see `bare`.
"""

from __future__ import annotations

import os

from sandtop.core.client.link import exec_message
from sandtop.core.errors import InvalidRequest

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any


class Options:
    """The options of one session, with their defaults; the parser fills in what is given."""

    name: str
    command: list[str] | None = None
    all: bool = False
    json: bool = False
    script: str | None = None

    stdin: bool = False
    tty: bool = False
    stderr_to_stdout: bool = False
    timeout: float | None = None
    rlimit: Sequence[tuple[str, list[int]]] | None = None
    detach: bool = False
    env: Sequence[tuple[str, str]] | None = None
    cwd: str | None = None
    user: str | None = None
    label: Sequence[tuple[str, str]] | None = None


def bare(argv: Sequence[str]) -> Options | None:
    """The options of a command line of the form ``NAME -- CMD [ARG…]``; None for any other.

    Scripts run it in loops, and there is nothing to parse in it. So it does without argparse, whose import takes longer
    than all else that sandtop does for a command.
    """
    if len(argv) < 3 or not argv[0] or argv[0].startswith("-") or argv[1] != "--":
        return None
    options = Options()
    options.name, options.command = argv[0], list(argv[2:])
    return options


def throw_away(options: argparse.Namespace, sandbox: str, command: list[str]) -> dict[str, Any]:
    """The message of ``run``: directory, user and environment are the sandbox's own, as nothing else runs in it."""
    return exec_message(
        sandbox,
        argv=command,
        timeout=options.timeout,
        rlimits=dict(options.rlimit or ()),
        tty=_terminal_size() if options.tty else None,
        stdin=options.stdin,
        merge=options.stderr_to_stdout,
        awaited=options.tty,
        on_hangup="kill",
    )


def requested(options: Options, script: str | None = None) -> dict[str, Any]:
    """The message of ``exec``, and with ``script`` of ``shell``. Raises `InvalidRequest`."""
    if options.detach and options.stdin:
        raise InvalidRequest(
            "-d and -i exclude each other", hint="a detached command has nobody to read from"
        )
    return exec_message(
        options.name,
        argv=options.command if script is None else None,
        script=script,
        timeout=options.timeout,
        rlimits=dict(options.rlimit or ()),
        tty=_terminal_size() if options.tty else None,
        stdin=options.stdin,
        merge=options.stderr_to_stdout,
        env=dict(options.env or ()),
        cwd=options.cwd,
        user=options.user,
        labels=dict(options.label or ()),
        detach=options.detach,
        awaited=options.tty or options.detach,
        # signals of this process are passed on to the session; when it is killed, the session goes on
        on_hangup="keep",
        # with -t -i on a terminal it takes a screen in place of what it is far behind
        terminal=options.tty and options.stdin and os.isatty(0) and os.isatty(1),
    )


def _terminal_size() -> tuple[int, int]:
    for fd in (1, 0, 2):
        try:
            size = os.get_terminal_size(fd)
        except OSError:
            continue
        if size.lines and size.columns:
            return size.lines, size.columns
    return 24, 80
