"""The command line: thin over the blocking client; stdout is data, stderr narration, the exit status an answer."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final


class Interrupted(BaseException):
    """This process was told to end by the signal ``number``."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


_HURRY_SECONDS: Final = 0.3
_hurried = False


def hurry() -> None:
    """This process was told to end: from now on nothing that it says waits for long."""
    global _hurried
    _hurried = True


def say(message: str) -> None:
    """Narrate on stderr, in one line. A stderr that cannot be written to is nobody's problem."""
    from ._text import visible  # most commands have nothing to say

    line = f"sandtop: {visible(message)}\n".encode("utf-8", "backslashreplace")
    try:
        if _hurried:
            from sandtop.core.client.session import SharedOutput

            output = SharedOutput(2)
            output.write_within(line, _HURRY_SECONDS)
            output.close()
        else:
            os.write(2, line)
    except OSError:
        pass
