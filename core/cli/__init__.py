"""The command line: thin over the blocking client. Data goes to stdout, messages go to stderr."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final


class Interrupted(BaseException):
    """The signal ``number`` told this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


_HURRY_SECONDS: Final = 0.3
"""How long a message waits for a stderr that takes nothing, once this process was told to end."""
_hurried = False


def hurry() -> None:
    """This process was told to end: from now on `say` waits `_HURRY_SECONDS` at most."""
    global _hurried
    _hurried = True


def say(message: str) -> None:
    """Print ``message`` on stderr, as one line. An error in writing it is ignored."""
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
