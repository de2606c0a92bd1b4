"""``sandtop failures``: the timeline of what ended badly."""

from __future__ import annotations

from sandtop.core.client.link import call_all, sandbox_listing, session_listing
from sandtop.core.failures import timeline

from ._args import Parser, add_label, labelled
from ._output import age, duration, size, table, write_json
from .listing import command, shortened

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.failures import Failure


def failures_main(argv: Sequence[str]) -> int:
    """List failures, of all sandboxes or one, the newest first."""
    parser = Parser(
        "failures",
        "[OPTIONS] [NAME]",
        "List what ended badly and why, the newest first: sessions, and sandboxes that failed or were lost.",
        "  sandtop failures\n  sandtop failures --new demo\n  sandtop failures --json | jq '.[].cause'",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the sandbox; else all")
    parser.add_argument("--new", action="store_true", help="only those that nobody has acknowledged")
    add_label(parser, "of those with this label (repeatable)")
    parser.json()
    options = parser.parse_args(list(argv))
    sessions = call_all(session_listing(options.name))
    sandboxes = [one for one in call_all(sandbox_listing()) if options.name in (None, one.name, one.uuid)]
    if options.label:
        sandboxes = labelled(sandboxes, options.label)
        names = {one.name for one in sandboxes}
        sessions = [session for session in sessions if session.sandbox in names]
    found = [one for one in timeline(sandboxes, sessions) if not (options.new and one.acknowledged)]
    if options.json:
        write_json([failure.to_json() for failure in found])
    else:
        columns = ("ago", "sandbox", "session", "ended", "seen", "ran", "memory", "cpu", "cause", "command")
        table(columns, [_row(failure) for failure in found])
    return 0


def _row(failure: Failure) -> tuple[object, ...]:
    return (
        age(failure.at), failure.sandbox, failure.session or "-", failure.ended, "yes" if failure.acknowledged else "-",
        "-" if failure.seconds is None else duration(failure.seconds), size(failure.memory_peak),
        "-" if failure.cpu_seconds is None else f"{failure.cpu_seconds:.1f}s", shortened(failure.cause or "-"),
        command(failure.argv) if failure.session else "-",
    )  # fmt: skip
