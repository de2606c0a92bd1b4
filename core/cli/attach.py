"""``sandtop attach``: this terminal on a program in a sandbox, which one can leave and come back to."""

from __future__ import annotations

from sandtop.core.cli import say
from sandtop.core.client.link import call
from sandtop.core.client.session import (
    DETACH_KEYS,
    KINDS,
    DetachKeys,
    OwnTerminal,
    allowed,
    allowed_here,
    returning,
    starting,
)
from sandtop.core.contract.sandbox import SandboxInspect
from sandtop.core.errors import InvalidRequest

from ._args import Parser, split, variable
from ._output import write
from ._signals import Signals
from ._status import status_of
from ._terminal import Detached, TerminalRelay

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Final

    from sandtop.core.client.session import Following

_EXAMPLES: Final = """\
  sandtop attach demo                     # a new shell; ctrl-] leaves it, and it goes on
  sandtop attach demo -- python3          # any program
  sandtop attach demo 3fa9                # come back
  sandtop attach --read-only demo 3fa9    # watch
  sandtop attach --take demo 3fa9         # type, whoever else does
  sandtop attach --detach-keys ctrl-p,ctrl-q demo"""
_NEW_ONLY: Final = ("env", "cwd", "user")
_BACK_ONLY: Final = ("read_only", "take")


def attach_main(argv: Sequence[str]) -> int:
    """Attach. Returns the program's exit status, or 0 after detaching."""
    head, command = split(argv)
    options = _parser().parse_args(head)
    keys = DetachKeys(options.detach_keys)
    _check(options, command)
    terminal = OwnTerminal(allowed(options.allow, "--allow") | allowed_here())
    following = _back(options, terminal) if options.session is not None else _new(options, command, terminal)
    try:
        with Signals() as signals:
            signals.forward()  # a signal that raises could do so while the terminal is being put back
            with terminal:
                result = TerminalRelay(following, options.name, signals, terminal, keys).relay()
    except Detached:
        session = following.session
        write("\n")  # the message below begins on a line of its own
        if session is None:
            say("left before the program started")
        else:
            say(f"session {session} goes on; come back: sandtop attach {options.name} {session}")
        return 0
    return status_of(result, options.name)


def _parser() -> Parser:
    usage = "[OPTIONS] NAME [SESSION | -- CMD [ARG…]]"
    parser = Parser("attach", usage, "This terminal on a program in a sandbox: leave, come back.", _EXAMPLES)
    add = parser.add_argument
    add(
        "-e", "--env", action="append", type=variable, metavar="KEY=VALUE", help="set a variable (repeatable)"
    )
    add("-w", "--cwd", metavar="DIR", help="working directory")
    add("-u", "--user", metavar="USER", help="name, uid, uid:gid or name:group")
    add(
        "--detach-keys",
        default=DETACH_KEYS,
        metavar="KEYS",
        help=f"what leaves it: characters or ctrl-X, with commas between ({DETACH_KEYS})",
    )
    add(
        "--allow",
        action="append",
        default=[],
        metavar="KIND",
        help=f"let the program reach outside of the screen: {', '.join(KINDS)} (repeatable)",
    )
    add("--read-only", action="store_true", help="watch a session, whoever types")
    add("--take", action="store_true", help="take the input from whoever holds it")
    add("name", metavar="NAME", help="the sandbox")
    add("session", metavar="SESSION", nargs="?", help="a session to come back to; else a new shell")
    return parser


def _check(options: argparse.Namespace, command: list[str] | None) -> None:
    """Raises `InvalidRequest` for options that exclude each other."""
    if command is not None and not command:
        raise InvalidRequest("no command was given", hint=f"such as: sandtop attach {options.name} -- bash")
    if command is not None and options.session is not None:
        raise InvalidRequest(
            "a session to come back to and a command to start exclude each other",
            hint="see 'sandtop attach --help'",
        )
    if options.read_only and options.take:
        raise InvalidRequest("--read-only and --take exclude each other")
    back = options.session is not None
    for name in _NEW_ONLY if back else _BACK_ONLY:
        if getattr(options, name):
            what = "a program that is started" if back else "a session that is there"
            raise InvalidRequest(f"--{name.replace('_', '-')} is for {what}")


def _new(options: argparse.Namespace, command: list[str] | None, terminal: OwnTerminal) -> Following:
    sandbox = call(SandboxInspect(sandbox=options.name)).sandbox
    return starting(
        options.name,
        command or [sandbox.shell],
        terminal.size(),
        own=sandbox.env,
        env=dict(options.env or ()),
        cwd=options.cwd,
        user=options.user,
    )


def _back(options: argparse.Namespace, terminal: OwnTerminal) -> Following:
    return returning(
        options.name,
        options.session,
        read_only=options.read_only,
        take=options.take,
        size=terminal.size(),
    )
