"""``core start --channel``: the core has it, and so has the one that the supervisor starts in its place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


class Home:
    def __init__(self, path: Path) -> None:
        self._environment = {**os.environ, "SANDTOP_HOME": str(path)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sandtop", *arguments],
            env=self._environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def core(self) -> int:
        """Its pid, once one answers."""
        end = time.monotonic() + 30
        while (pid := json.loads(self.run("core", "status", "--json").stdout)["pid"]) is None:
            assert time.monotonic() < end
        return int(pid)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.run("core", "stop")


def words(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def test_the_channel_of_a_core_is_that_of_the_next_one(home: Home) -> None:
    done = home.run("core", "start", "--channel", "auto")
    assert done.returncode == 0, done.stderr
    first = home.core()
    assert words(first)[-2:] == ["--channel", "auto"]
    os.kill(first, signal.SIGKILL)
    while (second := home.core()) == first:
        pass
    assert words(second)[-2:] == ["--channel", "auto"]


def test_a_core_that_runs_keeps_its_channel(home: Home) -> None:
    assert home.run("core", "start").returncode == 0
    before = home.core()
    assert "--channel" not in words(before)
    again = home.run("core", "start", "--channel", "vsock")
    assert again.returncode == 125
    assert "the core runs already, and keeps its channel (sandtop core stop" in again.stderr
    assert home.core() == before


def test_there_are_three(home: Home) -> None:
    refused = home.run("core", "start", "--channel", "pigeon")
    assert refused.returncode == 125
    assert "virtio-serial" in refused.stderr
