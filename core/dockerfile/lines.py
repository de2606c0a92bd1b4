"""The logical lines of a Dockerfile: comments gone, continued lines joined."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHARACTERS: Final = 1 << 20
_DIRECTIVE: Final = re.compile(r"#\s*([A-Za-z]+)\s*=\s*(.*?)\s*")
_ESCAPES: Final = ("\\", "`")


@dataclass(frozen=True, slots=True)
class Line:
    """``number`` is that of its first line in the file, from 1."""

    number: int
    text: str


def escape_of(source: str) -> str:
    """The character that continues lines: what the directive ``# escape=`` at the top says. Raises `InvalidRequest`."""
    for number, text in enumerate(source.splitlines(), 1):
        found = _DIRECTIVE.fullmatch(text.strip())
        if found is None:
            break
        if found[1].lower() == "escape":
            if found[2] not in _ESCAPES:
                raise InvalidRequest(f"line {number}: escape is \\ or `, not {found[2]!r:.40}")
            return found[2]
    return "\\"


def logical_lines(source: str, escape: str) -> Iterator[Line]:
    """Raises `InvalidRequest` for a file that is too long, or has a NUL."""
    if len(source) > MAX_CHARACTERS or "\0" in source:
        raise InvalidRequest(
            f"it is no Dockerfile of at most {MAX_CHARACTERS >> 20} Mi characters without NUL"
        )
    began, held = 0, ""
    for number, raw in enumerate(source.removeprefix("\ufeff").splitlines(), 1):
        text = raw.rstrip()
        if not text.strip() or text.lstrip().startswith("#"):
            continue  # between continued lines, too
        began = began or number
        if text.endswith(escape):
            held += text[:-1]
            continue
        yield Line(began, (held + text).strip())
        began, held = 0, ""
    if held.strip():
        yield Line(began, held.strip())
