"""The README's commands work as they are written there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop.core import paths
from sandtop.core.guest import GuestStore

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """The code blocks of the README in this language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody who ran ``./bootstrap setup`` and then reads on: a home of their own, all built."""
    built = paths.find()
    GuestStore(built).prepare()
    home = tmp_path / "home"
    shutil.copytree(built.cache, home / "cache", symlinks=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "SANDTOP_HOME": str(home), "PATH": path}
    yield environment
    subprocess.run(["sandtop", "core", "stop", "--all"], env=environment, check=True, timeout=60)


def run(argv: list[str], environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        argv, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=170
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_commands(reader: dict[str, str], tmp_path: Path) -> None:
    tour = [block for block in blocks("sh") if "./bootstrap" not in block]
    assert len(tour) == 5
    said = run(["sh", "-eu", "-c", "".join(tour)], reader, tmp_path)
    assert said.startswith("hello\nbox\nLinux ")
    for line in ("hello from /tmp", "written once", "12", "42", "step 1\nstep 2\nstep 3"):
        assert f"\n{line}\n" in said


def test_the_program(reader: dict[str, str], tmp_path: Path) -> None:
    (program,) = blocks("python")
    said = run([sys.executable, "-c", program], reader, tmp_path)
    assert said == "hello\n 0\ncame b'one\\n'\ncame b'two\\n'\nexited 0\n"
