"""Finds the command and runs it, and turns errors into a line on stderr. Only that command's module is imported."""

from __future__ import annotations

import os
import sys

from sandtop.core.cli import Interrupted, say
from sandtop.core.errors import EXIT_SANDTOP_FAILED, InvalidRequest, SandtopError

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final


class Command:
    """A command: its module in this package, its function there, and what it does in a few words."""

    __slots__ = ("function", "module", "summary")

    def __init__(self, module: str, function: str, summary: str) -> None:
        self.module = module
        self.function = function
        self.summary = summary


COMMANDS: Final[dict[str, Command]] = {
    "create": Command("create", "create_main", "make sandboxes and start them"),
    "run": Command("run", "run_main", "run one command in a throw-away sandbox"),
    "ls": Command("listing", "ls_main", "list the sandboxes"),
    "exec": Command("exec", "exec_main", "run a command in a sandbox"),
    "shell": Command("exec", "shell_main", "run a script by a sandbox's shell"),
    "attach": Command("attach", "attach_main", "this terminal on a program in a sandbox"),
    "screen": Command("screen", "screen_main", "show what is on a session's screen"),
    "type": Command("screen", "type_main", "type into a session's terminal"),
    "sessions": Command("listing", "sessions_main", "list what runs and ran"),
    "logs": Command("logs", "logs_main", "show a session's output"),
    "failures": Command("failures", "failures_main", "list what ended badly, and why"),
    "ack": Command("ack", "ack_main", "say that failures and prompts were seen"),
    "signal": Command("control", "signal_main", "send a signal to a session"),
    "cp": Command("cp", "cp_main", "copy files into a sandbox, out of it, or to another"),
    "forward": Command("forward", "forward_main", "have ports of this host lead into a sandbox"),
    "port": Command("forward", "port_main", "list the published ports of a sandbox"),
    "net": Command("net", "net_main", "what a sandbox may reach, and what it connected to"),
    "fs": Command("fs", "fs_main", "read, write, list and watch files of a sandbox"),
    "stop": Command("control", "stop_main", "shut sandboxes down"),
    "start": Command("control", "start_main", "boot stopped sandboxes"),
    "pause": Command("control", "pause_main", "freeze sandboxes"),
    "resume": Command("control", "resume_main", "let paused sandboxes go on"),
    "update": Command("update", "update_main", "give a sandbox a larger disk"),
    "restart": Command("control", "restart_main", "stop and start sandboxes"),
    "rm": Command("control", "rm_main", "remove sandboxes and what they wrote"),
    "stats": Command("watch", "stats_main", "what host and sandboxes use"),
    "events": Command("watch", "events_main", "list what happened"),
    "top": Command("watch", "top_main", "list the processes of a sandbox"),
    "console": Command("watch", "console_main", "show what a sandbox's kernel prints"),
    "inspect": Command("listing", "inspect_main", "all about one sandbox, as JSON"),
    "image": Command("image", "image_main", "list, pull, load, build and remove images"),
    "volume": Command("volume", "volume_main", "make, list and remove disks that outlive sandboxes"),
    "core": Command("corectl", "core_main", "start, stop and question the core"),
    "completion": Command("completion", "completion_main", "print a shell's completion script"),
    "setup": Command("setup", "setup_main", "install and build what sandboxes need"),
    "uninstall": Command("uninstall", "uninstall_main", "remove all sandboxes and what sandtop keeps"),
    "version": Command("version", "version_main", "say which version this is, and of what it depends on"),
    "bug-report": Command("bug_report", "bug_report_main", "print what a report of a fault needs"),
    "doctor": Command("doctor", "doctor_main", "say what this machine lacks"),
}
_COMPLETE: Final = "__complete"
"""A command for the completion scripts alone: they call it for names."""


def main(argv: Sequence[str]) -> int:
    """Run the command line ``argv``, which is without the program's name; returns the exit status.

    No error leaves it: each is one line on stderr.
    """
    _open_standard_files()
    try:
        try:
            return _dispatch(list(argv))
        except SystemExit as ended:  # argparse, after --help
            return ended.code if isinstance(ended.code, int) else EXIT_SANDTOP_FAILED
        finally:
            if sys.stdout is not None:  # None if it was closed when this process began
                sys.stdout.flush()
    except SandtopError as error:
        say(str(error))
        return error.exit_status
    except BrokenPipeError:  # the reader of stdout is gone: end silently, as by SIGPIPE
        return 128 + 13
    except KeyboardInterrupt:
        return 128 + 2
    except Interrupted as interrupted:
        return 128 + interrupted.number
    except OSError as error:
        say(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        say(f"a fault of its own: {type(error).__name__}: {error} (python -X dev -m sandtop shows where)")
    return EXIT_SANDTOP_FAILED


def _dispatch(argv: list[str]) -> int:
    name = argv[0] if argv else "--help"
    if name in ("-h", "--help", "help"):
        _help()
        return 0
    if name in ("-V", "--version"):
        from sandtop import __version__

        from ._output import write

        write(f"sandtop {__version__}\n")
        return 0
    if name == _COMPLETE:
        from .completion import names_main

        return names_main(argv[1:])
    command = COMMANDS.get(name)
    if command is None:
        raise InvalidRequest(f"there is no command {name!r}", hint=_suggestion(name))
    return load(command)(argv[1:])


def load(command: Command) -> Callable[[Sequence[str]], int]:
    """The function that runs ``command``."""
    # importlib.import_module() would import importlib's own helpers first, for 2 ms
    module = __import__(f"sandtop.core.cli.{command.module}", fromlist=[command.function])
    run: Callable[[Sequence[str]], int] = getattr(module, command.function)
    return run


def _suggestion(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"did you mean '{close[0]}'?" if close else "see 'sandtop --help'"


def _help() -> None:
    from ._output import write

    rows = "\n".join(f"  {name:<11} {command.summary}" for name, command in COMMANDS.items())
    write(
        "usage: sandtop COMMAND [ARG…]\n\n"
        "Commands in virtual machines, and a person in front of them.\n\n"
        f"commands:\n{rows}\n\n"
        "'sandtop COMMAND --help' shows a command's options and examples.\n"
        "An exit status is the command's own; 128+N when signal N ended it, 124 when it took too long,\n"
        "125 when sandtop itself failed, 126 when it cannot be executed, 127 when it was not found.\n"
    )


def _open_standard_files() -> None:
    """Open /dev/null as 0, 1 and 2 where those are closed: else the socket to the core could become stdout.

    It is opened for reading only, so that writing to 1 or 2 still fails with EBADF.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDONLY)
            if opened != fd:
                os.dup2(opened, fd)
                os.close(opened)
