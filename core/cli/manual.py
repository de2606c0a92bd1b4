"""The man page sandtop(1), made of the commands' own help, and the shells' completion scripts, as files of the package.

``python -m sandtop.core.cli.manual share`` writes them anew.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop import __version__

from ._args import Described, Parser
from .completion import script
from .main import COMMANDS, load

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = "man/man1/sandtop.1"
COMPLETIONS: Final = {
    "bash": "bash-completion/completions/sandtop",
    "zsh": "zsh/site-functions/_sandtop",
    "fish": "fish/vendor_completions.d/sandtop.fish",
}
"""Where each shell looks below a ``share``."""

_HEAD: Final = """\
.TH SANDTOP 1 "" "sandtop {version}"
.SH NAME
sandtop \\- commands in virtual machines, and a person in front of them
.SH SYNOPSIS
.B sandtop
.RI [ COMMAND " [" ARG ...]]
.SH DESCRIPTION
Runs commands in sandboxes that are virtual machines. Every program in a sandbox is a session with a log, an exit record
and an id; it outlives the terminal that started it.
Without a command and on a terminal, the console opens: all sandboxes and sessions, their logs and terminals.
.PP
On a new machine
.B sandtop setup
installs and builds what is missing.
.SH COMMANDS
"""
_TAIL: Final = """\
.SH EXIT STATUS
The command's own; 128+N when signal N ended it, 124 when it took too long, 125 when sandtop itself failed, 126 when it
cannot be executed, 127 when it was not found.
.SH ENVIRONMENT
.TP
.B SANDTOP_HOME
An absolute path: all but the sockets is below it, and it has a core of its own.
.TP
.B NO_COLOR
No colours.
.SH FILES
.TP
.I ~/.local/share/sandtop
Sandboxes, volumes, logs, the database, the core's log.
.TP
.I ~/.cache/sandtop
Kernel, guest runtime, images, templates: all of it can be built again.
.TP
.I ~/.config/sandtop/config.toml
Settings.
"""


def page() -> str:
    """The page, in the man(7) macros."""
    return _HEAD.format(version=__version__) + "\n".join(_commands()) + "\n" + _TAIL


def write(share: Path) -> None:
    """Write page and scripts into the folder ``share``."""
    texts = {PAGE: page(), **{path: script(shell) for shell, path in COMPLETIONS.items()}}
    for name, text in texts.items():
        path = share / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def parsers() -> Iterator[Parser]:
    """The parser of each command, and of each action of a command that has parsers of their own for these."""
    for name in COMMANDS:
        parser = _parser(name)
        yield parser
        for action in parser._actions:  # argparse has no public way
            for choice in action.choices or () if not action.option_strings else ():
                its = _parser(name, str(choice))
                if its.prog != parser.prog:
                    yield its


def _parser(name: str, *words: str) -> Parser:
    Parser.describing = True
    try:
        load(COMMANDS[name])([*words, "--help"])
    except Described as described:
        return described.parser
    finally:
        Parser.describing = False
    raise AssertionError(f"{name} has no help")


def _commands() -> Iterator[str]:
    for parser in parsers():
        usage = str(parser.usage).removeprefix(parser.prog).strip()
        yield f".SS {_plain(f'{parser.prog} {usage}'.strip())}"
        yield _plain(str(parser.description))
        for action in parser._actions:
            if action.help not in (None, argparse.SUPPRESS) and "--help" not in action.option_strings:
                yield f".TP\n.B {_plain(_words(action))}\n{_plain(str(action.help))}"
        if parser.epilog:
            examples = parser.epilog.removeprefix("examples:\n")
            yield f".PP\n.nf\n{_plain(examples, lines=True)}\n.fi"


def _words(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest
    takes = "" if action.nargs == 0 else f" {metavar}"
    return f"{', '.join(action.option_strings)}{takes}" if action.option_strings else metavar


def _plain(text: str, *, lines: bool = False) -> str:
    """``text`` as roff takes it literally, in one line or as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    if not lines:
        return re.sub(r"^(?=[.'])", r"\\&", " ".join(text.split()))
    return "\n".join(re.sub(r"^(?=[.'])", r"\\&", line) for line in text.split("\n"))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
