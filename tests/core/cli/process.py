"""The command line as people and scripts meet it: a process."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    status: int
    out: bytes
    err: bytes

    @property
    def complaint(self) -> str:
        """The one line that an error is."""
        lines = self.err.decode().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("sandtop: ")
        return lines[0].removeprefix("sandtop: ")


class Run(Protocol):
    """Runs ``sandtop`` with ``arguments``."""

    def __call__(self, *arguments: str, stdin: bytes | None = None) -> Done: ...


def command(*arguments: str) -> list[str]:
    """The command line of ``sandtop arguments``."""
    return [sys.executable, "-m", "sandtop", *arguments]
