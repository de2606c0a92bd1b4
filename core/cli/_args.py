"""Parsing command lines: argparse with one-line errors, and the kinds of values that several commands take."""

from __future__ import annotations

import argparse
import os

from sandtop.core.errors import InvalidRequest

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, NoReturn

    from sandtop.core.contract.sandbox import SandboxInfo

_SIZE_UNITS: Final = {"": 1, "m": 1, "g": 1024, "t": 1024 * 1024}
_WIDTH: Final = 100
_TIME_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _formatter(prog: str) -> argparse.HelpFormatter:
    # a fixed width: to find out the terminal's, shutil is imported, and argparse does that for every argument added
    return argparse.RawDescriptionHelpFormatter(prog, width=_WIDTH)


class Described(Exception):
    """Raised in place of printing help, while `Parser.describing`; carries the parser."""

    def __init__(self, parser: Parser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `InvalidRequest`, so that its errors are one line like all others.

    Attributes:
        describing: ``--help`` raises `Described` in place of printing help. The completion scripts are made that way.
    """

    describing = False

    def __init__(self, command: str, usage: str, summary: str, examples: str) -> None:
        super().__init__(
            prog=f"sandtop {command}",
            usage=f"sandtop {command} {usage}".strip(),
            description=summary,
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=_formatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise InvalidRequest(message, hint=f"see '{self.prog} --help'")

    def print_help(self, file: object = None) -> None:
        """Print the help on stdout. Raises `Described` instead while `describing`."""
        if Parser.describing:
            raise Described(self)
        from ._output import write

        write(self.format_help())

    def json(self) -> None:
        """Add ``--json``."""
        self.add_argument("--json", action="store_true", help="print JSON")


def split(argv: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """What stands before the first ``--`` in ``argv``, and what behind it; None if there is no ``--``."""
    items = list(argv)
    if "--" not in items:
        return items, None
    at = items.index("--")
    return items[:at], items[at + 1 :]


def pair(text: str) -> tuple[str, str]:
    """``KEY=VALUE``."""
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def add_label(parser: Parser, help: str) -> None:
    """The option ``--label``, for `labelled`."""
    parser.add_argument("--label", action="append", type=pair, metavar="KEY=VALUE", help=help)


def labelled(sandboxes: Sequence[SandboxInfo], labels: Sequence[tuple[str, str]] | None) -> list[SandboxInfo]:
    """Those of ``sandboxes`` that have all of ``labels``."""
    wanted = dict(labels or ()).items()
    return [one for one in sandboxes if wanted <= one.labels.items()]


def variable(text: str) -> tuple[str, str]:
    """``KEY=VALUE``; or ``KEY`` alone, with its value in this process's environment."""
    if "=" in text:
        return pair(text)
    if text not in os.environ:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, and is not set here")
    return text, os.environ[text]


def mebibytes(text: str) -> int:
    """``512``, ``512M`` or ``2G``, in MiB."""
    number, unit = _number_and_unit(text, _SIZE_UNITS)
    if number is None or unit is None or not (number * unit).is_integer():
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512M or 2G")
    return int(number * unit)


def seconds(text: str) -> float:
    """``30``, ``1.5s``, ``5m`` or ``2h``, in seconds."""
    number, unit = _number_and_unit(text, _TIME_UNITS)
    if number is None or unit is None or number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 30, 1.5s or 5m")
    return number * unit


def moment(text: str) -> float:
    """An ISO 8601 time, or a duration such as ``10m`` for so long ago, as seconds since the epoch."""
    import time
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return time.time() - seconds(text)


def _number_and_unit(text: str, units: dict[str, int]) -> tuple[float | None, int | None]:
    digits = text.rstrip("bBiIkKmMgGtTsShHdD")
    suffix = text[len(digits) :].lower()
    for long in ("ib", "b"):
        if units is _SIZE_UNITS and len(suffix) > len(long):
            suffix = suffix.removesuffix(long)
    if not digits.replace(".", "", 1).isdecimal() or not digits.isascii():
        return None, None
    return float(digits), units.get(suffix)


def rlimit(text: str) -> tuple[str, list[int]]:
    """``NAME=SOFT[:HARD]``, as the name and ``[soft, hard]``; -1 for ``unlimited``."""
    name, _, value = text.partition("=")
    limits = [-1 if part == "unlimited" else int(part) if _whole(part) else None for part in value.split(":")]
    known = [limit for limit in limits if limit is not None]
    if not name or len(known) != len(limits) or len(limits) > 2:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=SOFT[:HARD], such as nofile=1024 or cpu=10:20"
        )
    return name.lower().removeprefix("rlimit_"), [known[0], known[-1]]


def _whole(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def count(text: str) -> int:
    """A whole number from 0."""
    if not _whole(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def mode(text: str) -> int:
    """Permission bits in octal, as chmod(1) takes them: ``644``, ``1777``."""
    if not text or len(text) > 5 or text.strip("01234567") or int(text, 8) > 0o7777:
        raise argparse.ArgumentTypeError(f"{text!r} is not a mode in octal, such as 644")
    return int(text, 8)
