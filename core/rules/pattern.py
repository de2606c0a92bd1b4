"""Regular expressions whose time grows with the text alone, whoever wrote it: the output of guests is hostile.

Python's ``re`` backtracks, and some patterns take for ever on some texts. Here a pattern is a nondeterministic
automaton whose states are followed all at once (K. Thompson, "Regular Expression Search Algorithm", CACM 11:6, 1968);
the sets of states that were met are kept as a deterministic one. What cannot be done so (backreferences, looking
around) is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_STATES: Final = 300
"""States of a pattern: what a character costs at most, however hostile, is this many steps."""
_MAX_REPEAT: Final = 100
_MAX_KEPT: Final = 4000
"""Transitions that are remembered; beyond that they are found out anew."""
_CLASSES: Final[dict[str, Callable[[str], bool]]] = {
    "d": str.isdecimal,
    "w": lambda c: c.isalnum() or c == "_",
    "s": str.isspace,
    "D": lambda c: not c.isdecimal(),
    "W": lambda c: not (c.isalnum() or c == "_"),
    "S": lambda c: not c.isspace(),
}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}


class PatternError(ValueError):
    """``str()`` says what is wrong with a pattern, and where."""


@dataclass(slots=True)
class _Node:
    """A state: it takes a character that ``accepts``, or none and goes on in all of ``then``.

    ``edge``: ``^`` or ``$``: it goes on at that end of the text alone.
    """

    accepts: Callable[[str], bool] | None = None
    then: list[int] = field(default_factory=list[int])
    edge: str = ""


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of the automaton: where it begins, and its states whose ``then`` lacks what follows."""

    first: int
    open: tuple[int, ...]


class _Parser:
    """Builds the automaton of ``text``."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._folded = text.startswith("(?i)")
        self._at = 4 * self._folded
        self.nodes: list[_Node] = []

    def parse(self) -> int:
        """The number of the first state. The last of all has no way on: the pattern was found there."""
        part = self._choice()
        if self._at < len(self._text):
            raise self._error("a ) without its (")
        self._join(part, self._node())
        return part.first

    def _error(self, words: str) -> PatternError:
        return PatternError(f"{words}, at character {self._at + 1} of the pattern {self._text!r:.80}")

    def _node(self, accepts: Callable[[str], bool] | None = None, edge: str = "") -> int:
        if len(self.nodes) >= MAX_STATES:
            raise self._error(f"it is too large: more than {MAX_STATES} states")
        if accepts is not None and self._folded:
            plain = accepts
            accepts = lambda c: plain(c) or plain(c.lower()) or plain(c.upper())  # noqa: E731
        self.nodes.append(_Node(accepts, edge=edge))
        return len(self.nodes) - 1

    def _join(self, part: _Part, following: int) -> None:
        for number in part.open:
            self.nodes[number].then.append(following)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise self._error("it ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _choice(self) -> _Part:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        fork = self._node()
        self.nodes[fork].then = [part.first for part in parts]
        return _Part(fork, tuple(number for part in parts for number in part.open))

    def _sequence(self) -> _Part:
        whole: _Part | None = None
        while self._peek() not in ("", "|", ")"):
            begun = self._at
            part = self._repeated(self._atom(), begun)
            if whole is None:
                whole = part
            else:
                self._join(whole, part.first)
                whole = _Part(whole.first, part.open)
        if whole is None:
            empty = self._node()
            return _Part(empty, (empty,))
        return whole

    def _atom(self) -> _Part:
        character = self._next()
        if character == "(":
            if self._text[self._at : self._at + 2] == "?:":
                self._at += 2
            elif self._peek() == "?":
                raise self._error("of what begins with (? only (?: is known, and (?i) in front")
            part = self._choice()
            if self._peek() != ")":
                raise self._error("a ( without its )")
            self._at += 1
            return part
        if character in "*+?{":
            raise self._error(f"nothing stands before {character}")
        if character in "^$":
            number = self._node(edge=character)
        elif character == ".":
            number = self._node(lambda c: True)
        elif character == "[":
            number = self._node(self._set())
        elif character == "\\":
            number = self._node(self._escaped())
        else:
            number = self._node(character.__eq__)
        return _Part(number, (number,))

    def _escaped(self) -> Callable[[str], bool]:
        character = self._next()
        if character in _CLASSES:
            return _CLASSES[character]
        if character.isalnum() and character not in _CONTROLS:
            raise self._error(f"\\{character} is not known")
        return _CONTROLS.get(character, character).__eq__

    def _set(self) -> Callable[[str], bool]:
        inverted = self._peek() == "^"
        if inverted:
            self._at += 1
        tests: list[Callable[[str], bool]] = []
        first = True
        while first or self._peek() != "]":
            first = False
            character = self._next()
            if character == "\\" and self._peek() in _CLASSES:
                tests.append(_CLASSES[self._next()])
                continue
            low = self._member(character)
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._member(self._next())
                if high < low:
                    raise self._error(f"{low}-{high} is the wrong way round")
                tests.append(lambda c, low=low, high=high: low <= c <= high)  # type: ignore[misc]
            else:
                tests.append(low.__eq__)
        self._at += 1
        if inverted:
            return lambda c: not any(test(c) for test in tests)
        return lambda c: any(test(c) for test in tests)

    def _member(self, character: str) -> str:
        """A character in a set, escaped or not."""
        if character != "\\":
            return character
        character = self._next()
        return _CONTROLS.get(character, character)

    def _repeated(self, part: _Part, begun: int) -> _Part:
        """``part``, which is the text from ``begun`` on, as often as what follows it says."""
        while (character := self._peek()) and character in "*+?{":
            end = self._at
            low, high = self._times()
            part = self._copies(part, begun, end, low, high)
            if self._peek() == "?":
                self._at += 1  # lazy or not: whether it is found is the same
        return part

    def _times(self) -> tuple[int, int | None]:
        character = self._next()
        if character != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        inside, brace, _ = self._text[self._at :].partition("}")
        low, comma, high = inside.partition(",")
        if not brace or not low.isdecimal() or not (high.isdecimal() or not high):
            raise self._error("{ must be {2}, {2,} or {2,5}; \\{ is the character")
        self._at += len(inside) + 1
        most = int(high) if high else None if comma else int(low)
        if int(low) > _MAX_REPEAT or (most is not None and not int(low) <= most <= _MAX_REPEAT):
            raise self._error(
                f"it is repeated {{{inside}}} times: at most {_MAX_REPEAT}, the smaller number first"
            )
        return int(low), most

    def _copies(self, part: _Part, begun: int, end: int, low: int, high: int | None) -> _Part:
        """``part`` (the text from ``begun`` to ``end``) at least ``low`` times, and at most ``high``."""

        def again() -> _Part:
            here, self._at = self._at, begun
            copy = self._atom()
            while self._at < end:
                copy = self._repeated(copy, begun)
            self._at = here
            return copy

        count = low if high is None else high
        parts = [part, *(again() for _ in range(max(count, 1) - 1))]
        leave: list[int] = []
        if high is None:
            loop = self._node()
            self.nodes[loop].then.append(parts[-1].first)
            self._join(parts[-1], loop)
            if low == 0:
                return _Part(loop, (loop,))
            leave.append(loop)
        first = parts[0].first
        for number, (one, following) in enumerate(pairwise(parts), 1):
            if number >= low and high is not None:
                fork = self._node()
                self.nodes[fork].then.append(following.first)
                self._join(one, fork)
                leave.append(fork)
            else:
                self._join(one, following.first)
        if high is not None:
            leave += parts[-1].open
        if low == 0 or high == 0:
            skip = self._node()
            self.nodes[skip].then = [] if high == 0 else [first]
            return _Part(skip, (skip,) if high == 0 else (skip, *leave))
        return _Part(first, tuple(leave))


@dataclass(slots=True)
class _Met:
    """A set of states in which the automaton was: whether the pattern was found there, and is at the text's end."""

    states: frozenset[int]
    found: bool
    found_at_end: bool


class Pattern:
    """The pattern ``text``. Raises `PatternError`. ``(?i)`` in front of it makes case no matter."""

    def __init__(self, text: str) -> None:
        self.text = text
        parser = _Parser(text)
        self._first = parser.parse()
        self._nodes = parser.nodes
        self._last = len(parser.nodes) - 1
        self._begin = self._met({self._first}, begin=True)
        self._known: dict[tuple[frozenset[int], str], _Met] = {}

    def found_in(self, text: str) -> bool:
        """Whether it is found anywhere in ``text``."""
        met = self._begin
        for character in text:
            if met.found:
                return True
            key = met.states, character
            following = self._known.get(key)
            if following is None:
                following = self._step(met, character)
                if len(self._known) >= _MAX_KEPT:
                    self._known.clear()
                self._known[key] = following
            met = following
        return met.found or met.found_at_end

    def _step(self, met: _Met, character: str) -> _Met:
        reached = {self._first}  # it may begin anywhere
        for number in met.states:
            node = self._nodes[number]
            if node.accepts is not None and node.accepts(character):
                reached.update(node.then)
        return self._met(reached, begin=False)

    def _met(self, states: Iterable[int], *, begin: bool) -> _Met:
        open_states = self._closure(states, begin=begin, end=False)
        at_end = self._closure(states, begin=begin, end=True)
        return _Met(frozenset(open_states), self._last in open_states, self._last in at_end)

    def _closure(self, states: Iterable[int], *, begin: bool, end: bool) -> set[int]:
        """All states that are reached from ``states`` without a character."""
        reached: set[int] = set()
        todo = list(states)
        while todo:
            number = todo.pop()
            if number in reached:
                continue
            reached.add(number)
            node = self._nodes[number]
            passes = {"": node.accepts is None, "^": begin, "$": end}[node.edge]
            if passes:
                todo += node.then
        return reached
