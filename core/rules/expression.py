"""The expression of an alert rule: comparisons of what is known of a sandbox, joined by ``and``, ``or`` and ``not``."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Final

from .pattern import Pattern, PatternError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Values = Mapping[str, "float | str | None"]
    """What is known, by the names of `NUMBERS` and `TEXTS`, and ``label.NAME``; None or absent: it is not."""
    Output = Callable[[Pattern], bool]
    """Whether a line of the output that came since the last look matches."""
    Test = Callable[[Values, Output], bool]

NUMBERS: Final = {
    "exit": "the exit status of the session that ended last",
    "silence": "seconds since output came",
    "rate": "bytes of output a second",
    "memory": "resident bytes of the machine, as a share of the sandbox's memory",
    "uptime": "seconds since it was started",
    "sessions": "how many sessions run",
}
TEXTS: Final = {
    "state": "the sandbox's state",
    "name": "its name",
    "image": "its image",
    "command": "the command line of the session that ended last",
    "cause": "why that ended badly",
}
_LABEL: Final = "label."
_OUTPUT: Final = "output"
_UNITS: Final = {
    "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "%": 0.01, "K": 1024.0, "M": 1024.0**2, "G": 1024.0**3,
}  # fmt: skip
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)(?P<unit>[a-zA-Z%]*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<word>[A-Za-z_][\w.-]*)"
    r"|(?P<sign>==|!=|<=|>=|!~|[<>~()])"
    r"|(?P<end>\Z)|(?P<wrong>.))"
)
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
MAX_LENGTH: Final = 1000
"""Characters of an expression."""


class ExpressionError(ValueError):
    """``str()`` says what is wrong with an expression, and where."""


class Expression:
    """The expression ``text``. Raises `ExpressionError`.

    Attributes:
        reads_output: it looks at what programs write.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"it is longer than {MAX_LENGTH} characters")
        self.text = text
        self.names: set[str] = set()
        self._tokens = [match for match in _TOKEN.finditer(text) if match["end"] is None]
        self._at = 0
        self._test = self._any()
        if self._peek() is not None:
            raise self._error("'and' or 'or' is missing before it")

    @property
    def reads_output(self) -> bool:
        return _OUTPUT in self.names

    def holds(self, values: Values, output: Output) -> bool:
        """Whether it is so. A comparison with what is not known is not."""
        return self._test(values, output)

    # parsing

    def _peek(self) -> re.Match[str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _error(self, words: str) -> ExpressionError:
        token = self._peek()
        if token is None:
            return ExpressionError(f"it ends too early: {words}")
        shown = token.group().strip()
        return ExpressionError(f"{words}: {shown!r:.40}, at character {token.end() - len(shown) + 1}")

    def _takes(self, *words: str) -> str | None:
        token = self._peek()
        if token is not None and token.group().strip() in words and token["text"] is None:
            self._at += 1
            return token.group().strip()
        return None

    def _any(self) -> Test:
        tests = [self._all()]
        while self._takes("or"):
            tests.append(self._all())
        return (
            tests[0] if len(tests) == 1 else lambda values, output: any(one(values, output) for one in tests)
        )

    def _all(self) -> Test:
        tests = [self._one()]
        while self._takes("and"):
            tests.append(self._one())
        return (
            tests[0] if len(tests) == 1 else lambda values, output: all(one(values, output) for one in tests)
        )

    def _one(self) -> Test:
        inverted = False
        while self._takes("not"):
            inverted = not inverted
        if self._takes("("):
            test = self._any()
            if not self._takes(")"):
                raise self._error("a ) is missing")
        else:
            test = self._comparison()
        return (lambda values, output: not test(values, output)) if inverted else test

    def _comparison(self) -> Test:
        name = self._name()
        sign = self._takes(*_COMPARE, "~", "!~")
        if sign is None:
            raise self._error(f"after {name} a comparison is missing: one of {' '.join(_COMPARE)} ~ !~")
        if name in NUMBERS:
            if sign in ("~", "!~"):
                raise self._error(f"{name} is a number, and {sign} is for texts")
            return _numbers(name, _COMPARE[sign], self._number())
        if name == _OUTPUT and sign not in ("~", "!~"):
            raise self._error("of output only ~ and !~ can be asked")
        if sign in ("~", "!~"):
            return _matches(name, self._pattern(), inverted=sign == "!~")
        if sign not in ("==", "!="):
            raise self._error(f"{name} is a text, and {sign} is for numbers")
        return _texts(name, self._text(), inverted=sign == "!=")

    def _name(self) -> str:
        token = self._peek()
        name = token["word"] if token is not None else None
        if name is None:
            raise self._error("the name of a value is missing")
        if not (name in NUMBERS or name in TEXTS or name == _OUTPUT or name.startswith(_LABEL)):
            known = ", ".join([*NUMBERS, *TEXTS, _OUTPUT, "label.NAME"])
            raise self._error(f"there is no such value (known: {known})")
        self._at += 1
        self.names.add(name)
        return name

    def _number(self) -> float:
        token = self._peek()
        if token is None or token["number"] is None:
            raise self._error("a number is missing")
        if token["unit"] not in _UNITS:
            raise self._error(f"a number may have one of the units {' '.join(filter(None, _UNITS))}")
        self._at += 1
        return float(token["number"]) * _UNITS[token["unit"]]

    def _text(self) -> str:
        token = self._peek()
        if token is None or token["text"] is None:
            raise self._error("a text in quotes is missing")
        self._at += 1
        return token["text"][1:-1]

    def _pattern(self) -> Pattern:
        text = self._text()
        try:
            return Pattern(text)
        except PatternError as error:
            raise ExpressionError(str(error)) from None


def _numbers(name: str, compare: Callable[[float, float], bool], wanted: float) -> Test:
    def test(values: Values, output: Output) -> bool:
        value = values.get(name)
        return isinstance(value, (int, float)) and compare(value, wanted)

    return test


def _texts(name: str, wanted: str, *, inverted: bool) -> Test:
    def test(values: Values, output: Output) -> bool:
        value = values.get(name)
        return isinstance(value, str) and (value == wanted) != inverted

    return test


def _matches(name: str, pattern: Pattern, *, inverted: bool) -> Test:
    def test(values: Values, output: Output) -> bool:
        if name == _OUTPUT:
            return output(pattern) != inverted
        value = values.get(name)
        return isinstance(value, str) and pattern.found_in(value[:MAX_LENGTH]) != inverted

    return test
