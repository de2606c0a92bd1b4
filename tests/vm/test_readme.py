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
from tests.settings import write_settings
from tests.test_package import copy_of_the_project

from sandtop.core import paths
from sandtop.core.guest import GuestStore

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(400)]

README = Path(__file__).parents[2] / "README.md"
PACKAGE = "pipx install .\nsandtop setup\n"
PATIENCE = 350.0
"""Seconds for all that the README runs in one go, on a busy host."""


def blocks(language: str) -> list[str]:
    """The code blocks of the README in this language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


class Reader:
    """Somebody who ran ``./bootstrap setup`` and then reads on, in a folder of their own."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._home = home

    def run(self, *argv: str) -> str:
        """Run a command to its end, which must be a success; what it printed."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            argv,
            env={**os.environ, "SANDTOP_HOME": str(self._home), "PATH": path},
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which all is built; the first of the tests makes the templates."""
    built = paths.find()
    GuestStore(built).prepare()
    home = tmp_path_factory.mktemp("reader")
    not_copied = shutil.ignore_patterns("templates", "blanks", "scratch")  # sparse, or come and go
    shutil.copytree(built.cache, home / "cache", symlinks=True, ignore=not_copied)
    write_settings(home, "warm_machines = 0")  # each reader is gone before they could be of use
    return home


@pytest.fixture
def reader(tmp_path: Path, home: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path, home)
    yield reader
    reader.run("sandtop", "core", "stop", "--all")  # the next one has a core of its own


def test_the_commands(reader: Reader) -> None:
    tour = [block for block in blocks("sh") if "./bootstrap" not in block and block != PACKAGE]
    assert len(tour) == 5
    said = reader.run("sh", "-eu", "-c", "".join(tour))
    assert said.startswith("hello\nbox\nLinux ")
    for line in ("hello from /tmp", "written once", "12", "42", "step 1\nstep 2\nstep 3"):
        assert f"\n{line}\n" in said


def test_the_package(reader: Reader, tmp_path: Path) -> None:
    """pipx fetches what sandtop needs from the index. The machine that set-up then finds has all that it builds."""
    assert PACKAGE in blocks("sh")
    copy_of_the_project(tmp_path / "clone")
    said = reader.run(
        "sh",
        "-euc",
        f"""
        export PIPX_HOME={tmp_path}/pipx PIPX_BIN_DIR={tmp_path}/bin PIPX_MAN_DIR={tmp_path}/man
        PATH={tmp_path}/bin:$PATH
        cd clone
        {PACKAGE}
        command -v sandtop
        sandtop run -- python3 -c "print('hello')"
        sandtop core stop --all
        """,
    )
    assert said.endswith(f"{tmp_path}/bin/sandtop\nhello\n")
    assert (tmp_path / "man" / "man1" / "sandtop.1").exists()


def test_the_program(reader: Reader) -> None:
    (program,) = blocks("python")
    said = reader.run(sys.executable, "-c", program)
    assert said == "hello\n 0\ncame b'one\\n'\ncame b'two\\n'\nexited 0\n"
