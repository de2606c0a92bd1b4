"""The command line as people and scripts meet it: a process."""

from __future__ import annotations

import subprocess
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


def modules_after(program: str) -> set[str]:
    """The names of all modules that a fresh Python has when ``program`` has ended well.

    Without site (-S), which may have more loaded: what measures coverage in the tests' processes, for one.
    """
    whole = f"import sys; sys.path[:] = {sys.path!r}\n{program}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", whole], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.splitlines()[-1].split())
