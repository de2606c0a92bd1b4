"""What a ``.dockerignore`` keeps out of a build's context.

Source: Docker's "Build context", ".dockerignore files": Go's filepath.Match, with ``**`` for any number of folders.
"""

from __future__ import annotations

import posixpath
import re
from typing import Final

from sandtop.core.errors import InvalidRequest

_MAX_RULES: Final = 10_000


class Ignore:
    """The rules of ``text``. The last that matches a path, or a folder that it is in, counts."""

    def __init__(self, text: str = "") -> None:
        """Raises `InvalidRequest`."""
        self._rules = list[tuple[re.Pattern[str], bool]]()
        for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
            line = raw.strip()
            if not line or raw.startswith("#"):
                continue
            again = line.startswith("!")
            pattern = posixpath.normpath(line[again:].strip().lstrip("/")) if line != "!" else "."
            if pattern == ".":
                continue
            if len(self._rules) >= _MAX_RULES:
                raise InvalidRequest(f".dockerignore: more than {_MAX_RULES} rules")
            try:
                self._rules.append((re.compile(_expression(pattern)), again))
            except (ValueError, re.error) as error:
                raise InvalidRequest(f".dockerignore: line {number}: {line!r:.60} is no pattern") from error
        self.excepts = any(again for _, again in self._rules)
        """Whether something in a folder that is kept out may be in it all the same."""

    def hides(self, path: str) -> bool:
        """Whether ``path``, from the context's root and without a slash at its beginning, is kept out."""
        parts = path.split("/")
        ways = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        hidden = False
        for rule, again in self._rules:
            if hidden == again and any(rule.fullmatch(way) for way in ways):
                hidden = not again
        return hidden


def _expression(pattern: str) -> str:
    """A regular expression for a pattern. Raises ValueError."""
    made, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**/", at):
            made, at = made + "(?:.*/)?", at + 3
            continue
        if pattern.startswith("**", at):
            made, at = made + ".*", at + 2
            continue
        if char == "[":
            end = pattern.index("]", at + 2)
            inside = pattern[at + 1 : end]
            negated = inside.startswith("^")
            body = inside[negated:].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            made, at = f"{made}[{'^/' if negated else ''}{body}]", end + 1
            continue
        if char == "\\":
            at += 1
            char = pattern[at] if at < len(pattern) else "\\"
            made += re.escape(char)
        else:
            made += {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char))
        at += 1
    return made
