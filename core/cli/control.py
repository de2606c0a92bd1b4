"""The commands that change sandboxes and sessions: stop, start, pause, resume, restart, rm, signal."""

from __future__ import annotations

import os

from sandtop.core.client.link import call, new_id, signal_number
from sandtop.core.contract.sandbox import (
    SandboxAnswer,
    SandboxPause,
    SandboxRemove,
    SandboxRestart,
    SandboxResume,
    SandboxStart,
    SandboxStop,
)
from sandtop.core.contract.session import SessionSignal
from sandtop.core.errors import EXIT_SANDTOP_FAILED, SandtopError

from ._args import Parser
from ._output import Progress, complain, write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any, Final

    from sandtop.core.contract.record import Request

_FORCE: Final = {
    "stop": "switch off at once; what runs is not asked to end",
    "restart": "switch off at once; what runs is not asked to end",
    "rm": "end a running one first",
}


def _each(verb: str, summary: str, argv: Sequence[str], example: str) -> int:
    """Do ``verb`` to every sandbox that is named. When one fails, the others are done all the same."""
    parser = Parser(verb, "[OPTIONS] NAME…", summary, example)
    parser.add_argument("names", metavar="NAME", nargs="+", help="the sandbox")
    if verb in _FORCE:
        parser.add_argument("-f", "--force", action="store_true", help=_FORCE[verb])
    if verb in ("start", "restart"):
        parser.add_argument(
            "--cold", action="store_true", help="boot it, also where a template would start it at once"
        )
        parser.add_argument("--accelerator", choices=("kvm", "tcg"), help="for this start alone")
    if verb == "rm":
        parser.add_argument(
            "--keep-history", action="store_true", help="keep its sessions' output and exit records"
        )
    parser.json()
    options = parser.parse_args(list(argv))
    status, done = 0, list[object]()
    for name in options.names:
        try:
            with Progress() as progress:
                result = call(_request(verb, name, options), progress)
        except SandtopError as error:
            complain(error)
            status = EXIT_SANDTOP_FAILED
            continue
        done.append(result.sandbox.to_json() if isinstance(result, SandboxAnswer) else {"name": name})
        if not options.json:
            write(f"{name}\n")
    if options.json:
        write_json(done)
    return status


def _request(verb: str, name: str, options: argparse.Namespace) -> Request[Any]:
    """What ``verb`` asks of the sandbox ``name``."""
    if verb == "start":
        return SandboxStart(sandbox=name, cold=options.cold, accelerator=options.accelerator)
    if verb == "stop":
        return SandboxStop(sandbox=name, force=options.force)
    if verb == "restart":
        return SandboxRestart(
            sandbox=name, force=options.force, cold=options.cold, accelerator=options.accelerator
        )
    if verb == "rm":
        return SandboxRemove(sandbox=name, force=options.force, keep_history=options.keep_history)
    return SandboxPause(sandbox=name) if verb == "pause" else SandboxResume(sandbox=name)


def stop_main(argv: Sequence[str]) -> int:
    """Shut sandboxes down; what they wrote stays."""
    return _each("stop", "Shut sandboxes down. What they wrote stays.", argv, "  sandtop stop demo")


def start_main(argv: Sequence[str]) -> int:
    """Start stopped sandboxes."""
    return _each("start", "Start stopped sandboxes.", argv, "  sandtop start demo other")


def pause_main(argv: Sequence[str]) -> int:
    """Freeze sandboxes: their memory stays, their processors stand still."""
    return _each("pause", "Freeze sandboxes: memory stays, nothing runs.", argv, "  sandtop pause demo")


def resume_main(argv: Sequence[str]) -> int:
    """Let paused sandboxes go on."""
    return _each("resume", "Let paused sandboxes go on.", argv, "  sandtop resume demo")


def restart_main(argv: Sequence[str]) -> int:
    """Stop and start sandboxes."""
    return _each("restart", "Stop and start sandboxes.", argv, "  sandtop restart demo")


def rm_main(argv: Sequence[str]) -> int:
    """Remove sandboxes with all that they wrote."""
    summary = "Remove sandboxes and all that was written in them."
    return _each("rm", summary, argv, "  sandtop rm demo\n  sandtop rm --force --keep-history demo")


def signal_main(argv: Sequence[str]) -> int:
    """Send a signal to a session."""
    examples = "  sandtop signal demo 3fa9\n  sandtop signal --all demo 3fa9 KILL"
    parser = Parser("signal", "[OPTIONS] NAME SESSION [SIGNAL]", "Send a signal to a session.", examples)
    parser.add_argument("name", metavar="NAME", help="the sandbox")
    parser.add_argument("session", metavar="SESSION", help="its id, or the beginning of it")
    parser.add_argument("signal", metavar="SIGNAL", nargs="?", default="TERM", help="name or number (TERM)")
    parser.add_argument(
        "--scope",
        choices=("leader", "group", "all"),
        default="leader",
        help="its first process (the default), that one's process group, or all that it started",
    )
    parser.add_argument(
        "--all",
        dest="scope",
        action="store_const",
        const="all",
        help="the same as --scope all; it also reaches what an ended session left running",
    )
    options = parser.parse_args(list(argv))
    request = SessionSignal(
        sandbox=options.name,
        session=options.session,
        signal=signal_number(options.signal),
        scope=options.scope,
        op_id=new_id(),
        label=f"sandtop signal (pid {os.getpid()})",
    )
    call(request)
    return 0
