"""``sandtop logs``: what a session has written, also when it and its sandbox have ended."""

from __future__ import annotations

from sandtop.core.client.link import call_all, session_listing
from sandtop.core.client.session import STDERR, STDOUT, Reading
from sandtop.core.contract.session import SessionLogs
from sandtop.core.errors import InvalidRequest, NotFound

from ._args import Parser, count, moment, pair
from ._output import clock
from ._relay import Relay

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Final

    from sandtop.agent.wire import Control, Data

_EXAMPLES: Final = """\
  sandtop logs demo                 # of the latest session
  sandtop logs demo 3fa9 -f --tail 20
  sandtop logs demo --since 10m --timestamps --stderr
  sandtop logs --all --label team=a -f      # of all sessions of several sandboxes, merged by time
  sandtop logs --sandbox web --sandbox db --tail 20 --json"""


def logs_main(argv: Sequence[str]) -> int:
    """Show what a session has written: its stdout on stdout, its stderr on stderr."""
    parser = Parser("logs", "[OPTIONS] [NAME [SESSION]]", "Show what sessions have written.", _EXAMPLES)
    add = parser.add_argument
    add("name", metavar="NAME", nargs="?", help="the sandbox")
    add("session", metavar="SESSION", nargs="?", help="its id, or the beginning of it; else the latest")
    add(
        "-f",
        "--follow",
        action="store_true",
        help="go on until the session ends; with several sandboxes until ctrl-c",
    )
    _several(parser)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--stdout", action="store_true", help="stdout alone")
    only.add_argument("--stderr", action="store_true", help="stderr alone")
    add("--since", type=moment, metavar="TIME", help="from then on: 10m, 2h, or 2026-01-31T12:00:00")
    add("--timestamps", action="store_true", help="say before each line when it came")
    add("--tail", type=count, metavar="N", help="the last N lines")
    add(
        "--keep-cr",
        action="store_true",
        help="let carriage returns act on a terminal, as progress bars want it",
    )
    parser.json()
    options = parser.parse_args(list(argv))
    if options.all or options.sandbox or options.label:
        if options.name is not None or options.keep_cr:
            raise InvalidRequest(
                "--all, --sandbox and --label go without a NAME, and without --keep-cr",
                hint="see 'sandtop logs --help'",
            )
        from ._merged import merged_main

        merged_main(options)
        return 0
    if options.name is None or options.json:
        raise InvalidRequest(
            "--json goes with --all, --sandbox or --label"
            if options.json
            else "which sandbox? Its name is missing",
            hint="see 'sandtop logs --help'",
        )
    transform = _Stamps() if options.timestamps else None
    Relay(_reading(options), options.name, None, returns=options.keep_cr, transform=transform).relay()
    return 0


def _several(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--all",
        action="store_true",
        help="of all sandboxes: each line with its sandbox and session before it",
    )
    add("--sandbox", action="append", metavar="NAME", help="of this one so, and others (repeatable)")
    add(
        "--label",
        action="append",
        type=pair,
        metavar="KEY=VALUE",
        help="of those with this label (repeatable)",
    )


def _reading(options: argparse.Namespace) -> Reading:
    session, floors = options.session, {STDOUT: 0, STDERR: 0}
    if options.follow:  # by its whole id the same session is found again after a reconnect
        session, floors = _resolve(options.name, options.session)
    request = SessionLogs(
        sandbox=options.name,
        session=session,
        streams=["stdout"] if options.stdout else ["stderr"] if options.stderr else None,
        since=options.since,
        tail=options.tail,
        follow=options.follow,
        timestamps=options.timestamps,
    )
    return Reading(request, floors, session=session)


def _resolve(name: str, prefix: str | None) -> tuple[str | None, dict[int, int]]:
    """The whole id of the session that ``prefix`` means, and the lengths of its stdout and stderr.

    If it means none or several, ``prefix`` comes back, and the core reports that.
    """
    sessions = call_all(session_listing(name))
    if prefix is None and not sessions:
        raise NotFound(f"nothing has run in {name} yet", sandbox=name, hint=f"sandtop exec {name} -- COMMAND")
    meant = [s for s in sessions if s.id.startswith(prefix)] if prefix is not None else sessions[-1:]
    if len(meant) != 1:
        return prefix, {STDOUT: 0, STDERR: 0}
    return meant[0].id, {STDOUT: meant[0].stdout_bytes, STDERR: meant[0].stderr_bytes}


class _Stamps:
    """Puts the time before each line. A line that comes in pieces has the time of the first."""

    def __init__(self) -> None:
        self._stamp = b""
        self._inside = {STDOUT: False, STDERR: False}

    def control(self, frame: Control) -> None:
        """Take the time at which the output behind ``frame`` came."""
        at = frame.message.get("at")
        if frame.message["type"] == "time" and isinstance(at, (int, float)):
            self._stamp = f"{clock(at)} ".encode()

    def data(self, frame: Data) -> bytes:
        """The bytes of ``frame`` with the time before each line that begins in it."""
        pieces: list[bytes] = []
        for line in _lines(frame.data):
            if not self._inside[frame.stream]:
                pieces.append(self._stamp)
            pieces.append(line)
            self._inside[frame.stream] = not line.endswith(b"\n")
        return b"".join(pieces)


def _lines(data: bytes) -> list[bytes]:
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
