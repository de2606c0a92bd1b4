"""The words of an instruction: quotes removed, variables replaced, as Docker's own parser of them does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEEP: Final = 20


def expand(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """``text`` as one word. Raises `InvalidRequest`."""
    return "".join(_Scanner(text, variables, escape).words(split=False)) if text else ""


def split(text: str, variables: Mapping[str, str], escape: str = "\\") -> list[str]:
    """The words of ``text``, apart where there is white space that is not quoted. Raises `InvalidRequest`."""
    return _Scanner(text, variables, escape).words(split=True)


class _Scanner:
    def __init__(self, text: str, variables: Mapping[str, str], escape: str, depth: int = 0) -> None:
        self._text = text
        self._variables = variables
        self._escape = escape
        self._depth = depth
        self._at = 0
        if depth > _DEEP:
            raise InvalidRequest("variables in variables without end")

    def words(self, *, split: bool) -> list[str]:
        found, word, begun = list[str](), "", False
        while self._at < len(self._text):
            char = self._text[self._at]
            if split and char.isspace():
                if begun:
                    found.append(word)
                word, begun = "", False
                self._at += 1
                continue
            begun = True
            if char == "'":
                word += self._single()
            elif char == '"':
                word += self._double()
            else:
                word += self._one(quoted=False)
        return [*found, word] if begun else found

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise InvalidRequest("a single quote that is not closed")
        inside = self._text[self._at + 1 : end]
        self._at = end + 1
        return inside

    def _double(self) -> str:
        inside = ""
        self._at += 1
        while self._at < len(self._text):
            if self._text[self._at] == '"':
                self._at += 1
                return inside
            inside += self._one(quoted=True)
        raise InvalidRequest("a double quote that is not closed")

    def _one(self, *, quoted: bool) -> str:
        """What the next character, or the variable that begins with it, stands for."""
        char = self._text[self._at]
        self._at += 1
        if char == "$":
            return self._variable()
        if char == self._escape and self._at < len(self._text):
            following = self._text[self._at]
            if quoted and following not in ('"', "$", self._escape):
                return char
            self._at += 1
            return following
        return char

    def _variable(self) -> str:
        if self._text.startswith("{", self._at):
            return self._braces()
        found = _NAME.match(self._text, self._at)
        if found is None:
            return "$"
        self._at = found.end()
        return self._variables.get(found[0], "")

    def _braces(self) -> str:
        found = _NAME.match(self._text, self._at + 1)
        if found is None:
            raise InvalidRequest(f"{self._text[self._at - 1 :]!r:.60}: a variable without a name")
        name, at = found[0], found.end()
        end = self._closing(at)
        rest = self._text[at:end]
        self._at = end + 1
        value = self._variables.get(name)
        if not rest:
            return value or ""
        kind = rest[:2] if rest.startswith(":") else rest[:1]
        if kind not in (":-", ":+", "-", "+"):
            raise InvalidRequest(
                f"${{{name}{rest}}}: of what can be in braces only :- :+ - and + are supported"
            )
        is_set = bool(value) if kind.startswith(":") else value is not None
        if kind.endswith("+"):
            return self._word(rest[len(kind) :]) if is_set else ""
        return (value or "") if is_set else self._word(rest[len(kind) :])

    def _closing(self, at: int) -> int:
        depth = 1
        while at < len(self._text):
            if self._text.startswith("${", at):
                depth += 1
            elif self._text[at] == "}":
                depth -= 1
                if not depth:
                    return at
            at += 1
        raise InvalidRequest(f"{self._text!r:.60}: a variable whose braces are not closed")

    def _word(self, text: str) -> str:
        return "".join(_Scanner(text, self._variables, self._escape, self._depth + 1).words(split=False))
