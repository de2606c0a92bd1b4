"""How many bytes of arguments and environment execve(2) accepts."""

from __future__ import annotations

from .limits import LEAST_ARGUMENTS, MAX_STRING, MOST_ARGUMENTS

TYPE_CHECKING = False  # see frames.py
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

_STACK: Final = 8 << 20
"""Bytes of stack that a program may have when no limit is set."""
_POINTER: Final = 8


def room(stack: int | None) -> int:
    """Bytes of arguments and environment that a program can have whose stack has the soft limit ``stack``; -1: none."""
    quarter = MOST_ARGUMENTS if stack == -1 else (_STACK if stack is None else stack) // 4
    return max(LEAST_ARGUMENTS, min(MOST_ARGUMENTS, quarter))


def excess(argv: Sequence[str], env: Mapping[str, str], stack: int | None = None) -> str | None:
    """A sentence on which limit of execve(2) is exceeded, and by what; None when none is. ``stack`` is that of `room`.

    Raises ValueError for an argument or variable that cannot be encoded.
    """
    variables = [f"{name}={value}" for name, value in env.items()]
    total = _POINTER * (len(argv) + len(variables))
    for words in (argv, variables):
        try:
            text = "\0".join(words).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ValueError(_not_text(argv, variables)) from None
        total += len(text) + bool(words)
        if len(text) > MAX_STRING:
            lengths = [len(word) for word in text.split(b"\0")]
            longest = max(lengths)
            if longest > MAX_STRING:
                at = lengths.index(longest)
                return f"{_name(at, words, of=argv)} has {longest:,} bytes, and Linux takes {MAX_STRING:,} in one"
    most = room(stack)
    if total <= most:
        return None
    return (
        f"{len(argv):,} arguments and {len(variables):,} variables take {total:,} bytes, and Linux takes {most:,}"
        " in all (a quarter of the stack's limit)"
    )


def _not_text(argv: Sequence[str], variables: Sequence[str]) -> str:
    for words in (argv, variables):
        for at, word in enumerate(words):
            try:
                word.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                return (
                    f"{_name(at, words, of=argv)} has a character that UTF-8 cannot carry (a lone surrogate)"
                )
    return "an argument has a character that UTF-8 cannot carry"


def _name(at: int, words: Sequence[str], *, of: Sequence[str]) -> str:
    if words is not of:
        return f"the variable {words[at].partition('=')[0][:60]!r}"
    return f"argument {at} ({words[at][:20]!a}…)" if at else "the program's name"
