"""Regular expressions whose time grows with the text alone, whoever wrote it: the output of guests is hostile.

Python's ``re`` backtracks, and some patterns take for ever on some texts. RE2 (https://github.com/google/re2) does
not; what cannot be done so (backreferences, looking around) it refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sandtop.core.rules._re2 import Compiled

_MAX_MEMORY: Final = 1 << 20
"""Bytes that a pattern may take, with the states that RE2 keeps of it; where they do not suffice for the states, it
goes on without, more slowly."""
_SYNTAX: Final = "https://github.com/google/re2/wiki/Syntax"


class PatternError(ValueError):
    """``str()`` says what is wrong with a pattern."""


class Pattern:
    """The pattern ``text``, in RE2's syntax. Raises `PatternError`. ``(?i)`` in front of it makes case no matter."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._compiled = _compile(text)

    def found_in(self, text: str) -> bool:
        """Whether it is found anywhere in ``text``."""
        return self._compiled.search(text.encode(errors="replace")) is not None


def _compile(text: str) -> Compiled:
    from sandtop.core.rules import _re2  # only who has a rule with a pattern waits for it

    options = _re2.Options()
    options.max_mem = _MAX_MEMORY
    options.log_errors = False  # they are raised; RE2 would write them to stderr
    options.never_capture = True
    options.dot_nl = True  # command lines have more than one line now and then
    try:
        return _re2.compile(text.encode(), options)
    except UnicodeEncodeError:
        raise PatternError(f"the pattern {text!r:.80} is no Unicode text") from None
    except _re2.Error as error:
        (why,) = error.args
        said = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
        raise PatternError(
            f"RE2 does not take the pattern {text!r:.80}: {said:.80} ({_SYNTAX} has what it takes)"
        ) from None
