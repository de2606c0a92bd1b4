"""``sandtop screen`` and ``sandtop type``: show a session's screen, and type into its terminal."""

from __future__ import annotations

import os

from sandtop.core.cli import say
from sandtop.core.client.link import Conversation
from sandtop.core.client.session import Looking, Typing, depends_on_mode, key_bytes
from sandtop.core.errors import InvalidRequest

from ._args import Parser, seconds, split
from ._output import STDOUT, write, write_json

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_SCREEN_EXAMPLES: Final = """\
  sandtop screen demo                        # of the latest program on a terminal
  sandtop screen demo 3fa9 --ansi            # with its colours
  sandtop screen demo 3fa9 --scrollback      # and what has left the screen
  sandtop screen demo 3fa9 --wait-for '[$#]$' --timeout 10"""
_TYPE_EXAMPLES: Final = """\
  sandtop type demo 3fa9 --enter make test   # a line
  sandtop type demo 3fa9 --key ctrl-c        # a key
  sandtop type demo 3fa9 --key up --key enter
  sandtop type demo 3fa9 --enter -- ls -la   # what begins with a dash goes behind --"""


def screen_main(argv: Sequence[str]) -> int:
    """Print what is on a session's screen, without control sequences other than colours."""
    parser = Parser(
        "screen", "[OPTIONS] NAME [SESSION]", "Show what is on a session's screen.", _SCREEN_EXAMPLES
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="the sandbox")
    add(
        "session",
        metavar="SESSION",
        nargs="?",
        help="its id, or the beginning of it; else the latest on a terminal",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--ansi", action="store_true", help="with colours and attributes, as SGR sequences")
    how.add_argument("--json", action="store_true", help="print JSON: the rows, the cursor, the title …")
    add("--scrollback", action="store_true", help="the rows that have left the screen, too")
    add(
        "--wait-for",
        metavar="REGEX",
        help="wait until this is on it (Python's syntax; ^ and $ are a row's, without the spaces at its end)",
    )
    add("--timeout", type=seconds, metavar="TIME", help="wait no longer than that (30, 5m); then 124")
    options = parser.parse_args(list(argv))
    if options.timeout is not None and options.wait_for is None:
        raise InvalidRequest("--timeout goes with --wait-for", hint="see 'sandtop screen --help'")
    looking = _looked(
        Looking(
            options.name,
            options.session,
            scrollback=options.scrollback,
            ansi=options.ansi,
            wait_for=options.wait_for,
            seconds=options.timeout,
        )
    )
    seen = looking.screen
    if seen.missing:
        say(f"{seen.missing} bytes of its output fell to the log's limit: this may not be all")
    if seen.skipped:
        say(
            f"{seen.skipped} bytes of its output took too long to draw and were left out: this may not be all"
        )
    if options.json:
        write_json({**seen.to_json(), "session": looking.session.to_json()})
        return 0
    rows = [*seen.scrollback, *seen.lines]
    while rows and not rows[-1]:
        rows.pop()
    if os.isatty(STDOUT):
        from ._text import shown

        rows = [shown(row) for row in rows]
    write("".join(f"{row}\n" for row in rows))
    return 0


def _looked(looking: Looking) -> Looking:
    Conversation(looking).run()
    return looking


def type_main(argv: Sequence[str]) -> int:
    """Type into a session's terminal. Returns when the agent has taken all of it."""
    usage = "[OPTIONS] NAME SESSION [--enter] TEXT… | --key KEY…"
    parser = Parser("type", usage, "Type into a session's terminal.", _TYPE_EXAMPLES)
    add = parser.add_argument
    add("name", metavar="NAME", help="the sandbox")
    add("session", metavar="SESSION", help="its id, or the beginning of it")
    add("text", metavar="TEXT", nargs="*", help="what to type; words are typed with a space between them")
    add("--enter", action="store_true", help="and the enter key behind it")
    add("--key", action="append", metavar="KEY", help="a key in place of text: ctrl-c, up, f1 … (repeatable)")
    add("--take", action="store_true", help="take the input from whoever holds it")
    head, behind = split(argv)
    options = parser.parse_intermixed_args(head)
    words = [*options.text, *(behind or [])]
    if options.key and words:
        raise InvalidRequest("text and --key exclude each other", hint="type them one after the other")
    if not (words or options.key or options.enter):
        raise InvalidRequest("there is nothing to type", hint="see 'sandtop type --help'")
    data = os.fsencode(" ".join(words)).replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    data += _keys(options.key or [], options.name, options.session)
    data += b"\r" if options.enter else b""
    Conversation(Typing(options.name, options.session, data, take=options.take)).run()
    return 0


def _keys(names: list[str], sandbox: str, session: str) -> bytes:
    data = b"".join(key_bytes(name) for name in names)
    if not any(map(depends_on_mode, names)):
        return data
    asked = Looking(sandbox, session, scrollback=False, ansi=False, wait_for=None, seconds=None)
    application = _looked(asked).screen.application_cursor
    return b"".join(key_bytes(name, application_cursor=application) for name in names)
