"""The command line: thin over the blocking client; stdout is data, stderr narration, the exit status an answer."""

from __future__ import annotations

import os


class Interrupted(BaseException):
    """This process was told to end by the signal ``number``."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


def say(message: str) -> None:
    """Narrate on stderr, in one line. A stderr that cannot be written to is nobody's problem."""
    from ._text import visible  # most commands have nothing to say

    try:  # noqa: SIM105 - contextlib is not needed otherwise
        os.write(2, f"sandtop: {visible(message)}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass
