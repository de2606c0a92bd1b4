"""The command line as people and scripts meet it: a process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Protocol

import pytest


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


@pytest.fixture
def run() -> Run:
    """Run the command line in the environment of the test."""

    def run(*arguments: str, stdin: bytes | None = None) -> Done:
        with subprocess.Popen(
            command(*arguments),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            out, err = process.communicate(stdin, timeout=100)
        return Done(process.returncode, out, err)

    return run
