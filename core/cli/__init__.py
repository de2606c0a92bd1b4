"""The command line: thin over the blocking client; stdout is data, stderr narration, the exit status an answer."""

from __future__ import annotations


class Interrupted(BaseException):
    """This process was told to end by the signal ``number``."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number
