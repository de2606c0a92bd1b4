"""``sandtop exec`` and ``sandtop shell``: run a command or a script in a running sandbox."""

from __future__ import annotations

import os
import sys

from sandtop.agent.wire.limits import MAX_STRING
from sandtop.core.cli import Interrupted, say
from sandtop.core.client.link import ask
from sandtop.core.errors import InvalidRequest

from ._exec_request import Options, bare, requested
from ._signals import Signals

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from sandtop.core.client.link import Link
    from sandtop.core.client.session import Following

_EXEC_EXAMPLES: Final = """\
  sandtop exec demo -- python3 -c "print('hello')"
  sandtop exec -w /tmp -e A=1 --timeout 30 demo -- make test
  tar c src | sandtop exec -i demo -- tar x -C /work
  sandtop exec -d demo -- ./server        # prints the id; then: sandtop logs demo ID -f
  sandtop exec --label team=a -- uname -r # in all with that label, as one result
  sandtop exec --all --json -- df / | jq '.[].stdout'"""
_SHELL_EXAMPLES: Final = """\
  sandtop shell demo 'ls -la /tmp && echo done'
  sandtop shell demo < script.sh"""


def exec_main(argv: Sequence[str]) -> int:
    """Run a command. Returns its exit status."""
    options = bare(argv) or parse(argv)
    if not options.name:
        from ._many import exec_many

        return exec_many(options)
    if not options.command:
        raise InvalidRequest("no command was given", hint=f"such as: sandtop exec {options.name} -- true")
    return run_session(requested(options), options.name)


def parse(argv: Sequence[str]) -> Options:
    """The options in ``argv``, by argparse. Where `bare` returns any, they are the same."""
    from ._args import Parser, split
    from ._exec_options import add_options

    head, command = split(argv)
    parser = Parser(
        "exec",
        "[OPTIONS] NAME -- CMD [ARG…]\n       sandtop exec [OPTIONS] --all | --label KEY=VALUE -- CMD [ARG…]",
        "Run a command in a sandbox; or in many at once, whose results are shown as groups of the same.",
        _EXEC_EXAMPLES,
    )
    add_options(parser)
    parser.add_argument("--all", action="store_true", help="in all that run, in place of NAME")
    parser.json()
    parser.add_argument(
        "name", metavar="NAME", nargs="?", default="", help="the sandbox; else --all or --label"
    )
    if command is None:
        parser.add_argument("command", nargs="...", metavar="CMD")
    options = parser.parse_args(head, Options())
    if command is not None:
        options.command = command
    _check_choice(options, marked=command is not None)
    return options


def _check_choice(options: Options, *, marked: bool) -> None:
    """Raises `InvalidRequest` when it is not clear where to run it. ``marked``: ``--`` stands before the command."""
    if options.all and (options.name or not marked):
        where = f"give --all or {options.name}, not both" if marked else "put -- before the command"
        raise InvalidRequest(where, hint="such as: sandtop exec --all -- uptime")
    if not options.name and not options.all and not options.label:
        raise InvalidRequest(
            "no sandbox was named", hint="NAME, --all, or --label KEY=VALUE; see 'sandtop exec --help'"
        )
    if options.json and options.name:
        raise InvalidRequest(
            "--json is for many sandboxes", hint="sandtop sessions --json has what ran in one"
        )


def shell_main(argv: Sequence[str]) -> int:
    """Run a script by the sandbox's shell. Returns its exit status."""
    from ._args import Parser
    from ._exec_options import add_options

    parser = Parser(
        "shell", "[OPTIONS] NAME [SCRIPT]", "Run a script by the sandbox's shell.", _SHELL_EXAMPLES
    )
    add_options(parser)
    parser.add_argument("name", metavar="NAME", help="the sandbox")
    parser.add_argument("script", metavar="SCRIPT", nargs="?", help="the script; else it is read from stdin")
    options = parser.parse_args(list(argv), Options())
    script = _read_script(options.name, taken=options.stdin) if options.script is None else options.script
    return run_session(requested(options, script), options.name)


def _read_script(name: str, *, taken: bool) -> str:
    if taken or os.isatty(0):
        raise InvalidRequest(
            "no script was given", hint=f"such as: sandtop shell {name} 'ls -la && echo done'"
        )
    data = sys.stdin.buffer.read(MAX_STRING + 1)  # the shell gets it as one argument
    if len(data) > MAX_STRING:
        raise InvalidRequest(
            f"the script is longer than {MAX_STRING:,} bytes, which is all that Linux takes in one argument",
            hint=f"copy it into the sandbox, or: sandtop exec -i {name} -- sh < FILE",
        )
    return os.fsdecode(data)


def run_session(message: dict[str, Any], sandbox: str) -> int:
    """Start the session that ``message`` asks for and, unless it is detached, relay it to its end.

    Returns its exit status. Raises the errors that the core reports, and those of `outcome` for how it ended.
    """
    if message["detach"]:
        return _detached(message)
    following: Following | None = None
    with Signals() as signals:
        signals.forward()
        try:
            link = None if message["terminal"] else ask(message)
            # imported only now, so that the core works on the request meanwhile
            from sandtop.core.client.link import takes_input
            from sandtop.core.client.session import Following

            from ._status import status_of

            following = Following(message, stdin=takes_input(message), begun=link is not None)
            if message["terminal"]:
                result = _on_terminal(following, sandbox, signals)
            else:
                result = _relayed(following, sandbox, signals, link, tty=message["tty"] is not None)
        except Interrupted:
            key = message["id"] if following is None else following.session or message["id"]
            ends = f"sandtop signal {sandbox} {key} KILL ends it"
            if following is not None and following.session is not None:
                say(f"session {key} goes on ({ends})")
            else:
                say(f"{sandbox} had not started it yet ({ends}, should it still begin)")
            raise
    return status_of(result, sandbox)


def _relayed(
    following: Following, sandbox: str, signals: Signals, link: Link | None, *, tty: bool
) -> dict[str, object]:
    from ._relay import Relay, screen_for

    return Relay(following, sandbox, signals, screen=screen_for(tty), link=link).relay()


def _on_terminal(following: Following, sandbox: str, signals: Signals) -> dict[str, object]:
    """``-t -i`` on a terminal: every key goes to the program, ctrl-c too, as with docker."""
    from sandtop.core.client.session import OwnTerminal, allowed_here

    from ._terminal import TerminalRelay

    with OwnTerminal(allowed_here()) as terminal:
        return TerminalRelay(following, sandbox, signals, terminal, None).relay()


def _detached(message: dict[str, Any]) -> int:
    from sandtop.core.client.link import Conversation, Operation, request_of
    from sandtop.core.client.session import part

    from ._output import write

    operation = Operation(request_of(message))
    Conversation(operation).run()
    write(f"{part(operation.result or {}, 'session')['id']}\n")
    return 0
