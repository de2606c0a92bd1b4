"""How much a program may be given to start with, by execve(2), and how a message that is longer than a frame travels.

The numbers are Linux's own (fs/exec.c: MAX_ARG_STRLEN, ARG_MAX and bprm_stack_limits).
"""

from __future__ import annotations

TYPE_CHECKING = False  # see frames.py
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

MAX_STRING: Final = 131_071
"""Bytes of one argument, or of one variable with its name and ``=``; the kernel counts the NUL behind it, too."""
_STACK: Final = 8 << 20
"""Bytes of stack that a program has unless its limits say otherwise."""
_LEAST: Final = 128 << 10
_MOST: Final = 6 << 20
_POINTER: Final = 8

MOST_LONG: Final = 6 * _MOST + (2 << 20)
"""Bytes of a message that is longer than a frame: JSON takes up to six for a byte of an argument, and there are its
other fields."""
LONG: Final = "long"
"""A client's operation whose request is longer than a frame and follows as data."""
LONG_STREAM: Final = 4
"""The stream on which it follows."""
START_STREAM: Final = 3
"""To the agent: session n's start, when it is longer than a frame, comes on stream 4n + 3."""


def room(stack: int | None) -> int:
    """Bytes of arguments and environment that a program with this soft limit of its stack can have; -1: no limit."""
    quarter = _MOST if stack == -1 else (_STACK if stack is None else stack) // 4
    return max(_LEAST, min(_MOST, quarter))


def excess(argv: Sequence[str], env: Mapping[str, str], stack: int | None = None) -> str | None:
    """Which limit of execve(2) is exceeded and by what, in a line; None when none is. ``stack`` as for `room`.

    Raises ValueError for what is no text that a program can be given.
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
