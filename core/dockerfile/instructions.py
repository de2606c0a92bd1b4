"""One instruction of a Dockerfile: its name, flags and words, and whether it is one that can be carried out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.dockerfile.lines import Line

_INSTRUCTION: Final = re.compile(r"([A-Za-z]+)(?:\s+(.*))?", re.DOTALL)
_FLAG: Final = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")
_HEREDOC: Final = re.compile(r"(?<!<)<<(?!<)-?\s*[\"']?[A-Za-z_]")
_FLAGS: Final[dict[str, tuple[str, ...]]] = {
    "FROM": ("platform",),
    "COPY": ("from", "chown", "chmod", "link"),
    "ADD": ("chown", "chmod", "link"),
}
_IGNORED: Final = ("HEALTHCHECK", "MAINTAINER")
"""Instructions that change nothing of what runs here: they are left out, with a warning."""
_KNOWN: Final = frozenset(
    ("FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "WORKDIR", "USER", "CMD", "ENTRYPOINT", "LABEL", "EXPOSE", "VOLUME",
     "STOPSIGNAL", "SHELL", *_IGNORED)
)  # fmt: skip
_MAY_BE_EMPTY: Final = ("CMD", "ENTRYPOINT")
_PLATFORM: Final = ("linux/amd64", "linux/x86_64", "$BUILDPLATFORM", "$TARGETPLATFORM")
_MODE: Final = re.compile(r"[0-7]{3,4}")


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction.

    Attributes:
        line: its number in the file.
        name: in capitals.
        flags: those before its words, such as ``from`` and its value.
        text: the words as they stand there.
        argv: the words, where they are a JSON list: the exec form.
    """

    line: int
    name: str
    flags: Mapping[str, str]
    text: str
    argv: tuple[str, ...] | None = None

    @property
    def ignored(self) -> bool:
        """Whether it is left out."""
        return self.name in _IGNORED

    @property
    def title(self) -> str:
        """For people, on a line."""
        flags = "".join(f"--{name}={value} " if value else f"--{name} " for name, value in self.flags.items())
        return f"{self.name} {flags}{' '.join(self.text.split())}".strip()

    def refused(self, why: str) -> InvalidRequest:
        """The error for it."""
        return InvalidRequest(f"line {self.line}: {self.name}: {why}")


def instruction(line: Line) -> Instruction:
    """Raises `InvalidRequest` for one that is not known or not supported."""
    found = _INSTRUCTION.fullmatch(line.text)
    name = found[1].upper() if found else ""
    if found is None or name not in _KNOWN:
        known = (
            "ONBUILD is not supported"
            if name == "ONBUILD"
            else f"{line.text.partition(' ')[0]!r:.40} is no instruction"
        )
        raise InvalidRequest(f"line {line.number}: {known}")
    flags, text = _flags(name, found[2] or "", line)
    made = Instruction(line.number, name, flags, text, _list(text))
    if not text and name not in _MAY_BE_EMPTY:
        raise made.refused("there is nothing behind it")
    if name in ("RUN", "COPY", "ADD") and made.argv is None and _HEREDOC.search(text):
        raise made.refused("here-documents (<<) are not supported")
    if name == "SHELL" and not made.argv:
        raise made.refused('it takes a JSON list, such as ["/bin/bash", "-c"]')
    return made


def _flags(name: str, text: str, line: Line) -> tuple[dict[str, str], str]:
    flags, rest = dict[str, str](), text
    if name in ("HEALTHCHECK", "MAINTAINER", "LABEL", "ENV", "ARG", "CMD", "ENTRYPOINT"):
        return flags, rest
    while (found := _FLAG.match(rest)) is not None:
        flag, value = found[1], found[2] or ""
        if flag not in _FLAGS.get(name, ()):
            raise InvalidRequest(f"line {line.number}: {name}: --{flag} is not supported")
        if flag == "platform" and value not in _PLATFORM:
            raise InvalidRequest(f"line {line.number}: {name}: only linux/amd64 runs here, not {value!r:.40}")
        if flag == "chmod" and not _MODE.fullmatch(value):
            raise InvalidRequest(f"line {line.number}: {name}: --chmod takes octal digits, not {value!r:.40}")
        if flag != "link":  # which says how layers are stored, and changes nothing in them
            flags[flag] = value
        rest = rest[found.end() :]
    return flags, rest.strip()


def _list(text: str) -> tuple[str, ...] | None:
    if not text.startswith("["):
        return None
    try:
        words: object = json.loads(text)
    except ValueError:
        return None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):  # pyright: ignore[reportUnknownVariableType]
        return None
    return tuple(map(str, words))  # pyright: ignore[reportUnknownArgumentType]
