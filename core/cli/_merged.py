"""``sandtop logs`` of several sandboxes: lines in the order in which they came, each with its sandbox before it."""

from __future__ import annotations

import os

from sandtop.core.client.link import LogsListening, listen
from sandtop.core.contract.core import Logs

from ._output import STDOUT, clock, write, write_line
from ._text import Neutraliser, visible

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import argparse
    from typing import Final

    from sandtop.core.client.link import LogPiece

_LONGEST: Final = 64 * 1024
"""Bytes after which a line without an end is printed as one."""
_COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
"""Foregrounds (SGR, ECMA-48) that are told apart on dark and light; red is for errors."""


def merged_main(options: argparse.Namespace) -> None:
    """Print what the sandboxes that ``options`` means wrote, on stdout."""
    request = Logs(
        sandboxes=options.sandbox,
        labels=dict(options.label or ()),
        streams=["stdout"] if options.stdout else ["stderr"] if options.stderr else None,
        since=options.since,
        tail=options.tail,
        follow=options.follow,
    )
    lines = Lines(stamped=options.timestamps, as_json=options.json)
    for piece in listen(LogsListening(request)):
        lines.take(piece)
    lines.finish()


class Lines:
    """Prints pieces as lines: one that comes in pieces when it is whole, with the time of its first."""

    def __init__(self, *, stamped: bool, as_json: bool) -> None:
        self._stamped = stamped
        self._json = as_json
        terminal = os.isatty(STDOUT)
        self._coloured = terminal and not os.environ.get("NO_COLOR")
        self._neutral = terminal
        self._begun: dict[tuple[str, str], tuple[LogPiece, bytearray]] = {}

    def take(self, piece: LogPiece) -> None:
        """Print the lines that end in ``piece``."""
        key = (piece.source.session, piece.stream)
        if piece.missing:
            self._end(key)
            self._print(piece, f"[{piece.missing} bytes are not in the log any more]".encode())
        *whole, rest = piece.data.split(b"\n")
        for line in whole:
            first, begun = self._begun.pop(key, (piece, bytearray()))
            self._print(first, bytes(begun) + line)
        if rest:
            _, begun = self._begun.setdefault(key, (piece, bytearray()))
            begun += rest
            if len(begun) >= _LONGEST:
                self._end(key)

    def finish(self) -> None:
        """Print the lines that have no end."""
        for key in list(self._begun):
            self._end(key)

    def _end(self, key: tuple[str, str]) -> None:
        if key in self._begun:
            first, begun = self._begun.pop(key)
            self._print(first, bytes(begun))

    def _print(self, piece: LogPiece, line: bytes) -> None:
        source, line = piece.source, line.removesuffix(b"\r")
        if self._json:
            write_line(
                {
                    "at": piece.at,
                    "sandbox": source.sandbox,
                    "session": source.session,
                    "stream": piece.stream,
                    "line": line.decode("utf-8", "backslashreplace"),
                }
            )
            return
        if self._neutral:
            line = Neutraliser().feed(line, final=True)
        stamp = f"{clock(piece.at)} " if self._stamped else ""
        write(f"{stamp}{self._prefix(piece)} ".encode() + line + b"\n")

    def _prefix(self, piece: LogPiece) -> str:
        """The sandbox, the beginning of the session's id, and ``err`` for what was written to stderr."""
        source = piece.source
        text = f"{visible(source.sandbox)} {source.session[:4]}{' err' if piece.stream == 'stderr' else ''}:"
        if not self._coloured:
            return text
        colour = _COLOURS[sum(source.sandbox.encode()) % len(_COLOURS)]
        return f"\033[{colour}m{text}\033[0m"
