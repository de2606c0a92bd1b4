"""``sandtop completion``: a shell's completion script, and the names that the script asks for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

import shtab

from sandtop.core.client.link import call_running
from sandtop.core.contract.sandbox import SandboxList
from sandtop.core.errors import SandtopError

from ._args import Described, Parser
from ._output import write
from .main import COMMANDS, load

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHELLS: Final = ("bash", "zsh", "fish", "tcsh")
_EXAMPLES: Final = """\
  sandtop completion bash > ~/.local/share/bash-completion/completions/sandtop
  sandtop completion zsh > ~/.zfunc/_sandtop        # with ~/.zfunc in fpath
  sandtop completion fish > ~/.config/fish/completions/sandtop.fish"""
_BASH: Final = """\
_sandtop_names() {
  compgen -W "$(sandtop __complete sandboxes 2>/dev/null)" -- "$1"
}"""
_ZSH: Final = """\
_sandtop_names() {
  local -a names
  names=(${(f)"$(sandtop __complete sandboxes 2>/dev/null)"})
  _describe sandbox names
}"""
_NAMES: Final = {"bash": "_sandtop_names", "zsh": "_sandtop_names", "fish": "(sandtop __complete sandboxes)"}
_NEW: Final = ("create", "image")
"""Commands whose NAME is not that of an existing sandbox."""


def completion_main(argv: Sequence[str]) -> int:
    """Print the completion script of a shell."""
    parser = Parser("completion", "|".join(_SHELLS), "Print a shell's completion script.", _EXAMPLES)
    parser.add_argument("shell", choices=_SHELLS, metavar="|".join(_SHELLS), help="the shell")
    options = parser.parse_args(list(argv))
    write(script(options.shell))
    return 0


def script(shell: str) -> str:
    """The completion script of ``shell``."""
    preamble = {"bash": _BASH, "zsh": _ZSH}.get(shell, "")
    return shtab.complete(_everything(), shell, preamble=preamble) + "\n"


def _everything() -> argparse.ArgumentParser:
    """One parser with all commands, made for the completion script only."""
    root = argparse.ArgumentParser(prog="sandtop")
    commands = root.add_subparsers()
    Parser.describing = True
    try:
        for name, command in COMMANDS.items():
            try:
                load(command)(["--help"])
            except Described as described:
                _complete_names(name, described.parser)
                commands.add_parser(name, help=command.summary, parents=[described.parser], add_help=False)
    finally:
        Parser.describing = False
    return root


def _complete_names(command: str, parser: argparse.ArgumentParser) -> None:
    if command in _NEW:
        return
    for action in parser._actions:  # argparse has no public way; shtab goes this one too
        if action.metavar in ("NAME", "NAME…"):
            action.complete = _NAMES  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def names_main(argv: Sequence[str]) -> int:
    """Print the names of a kind, one a line. It prints no error, and starts no core."""
    try:
        result = call_running(SandboxList(), wait=0) if list(argv) == ["sandboxes"] else None
    except SandtopError:
        return 1
    if result is not None:
        write("".join(f"{sandbox.name}\n" for sandbox in result.sandboxes))
    return 0
