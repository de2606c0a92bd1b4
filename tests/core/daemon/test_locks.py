"""The runtime directory goes with the last core, and no two cores come of that."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from sandtop.core import paths
from sandtop.core.daemon.locks import held, leave, lock

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.paths import Paths


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """The paths of a home of the test's own."""
    monkeypatch.setenv("SANDTOP_HOME", str(tmp_path))
    return paths.find()


def test_one_holds_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.lock"
    assert not held(path)
    assert not path.parent.exists()
    first = lock(path)
    assert first is not None
    assert held(path)
    assert lock(path) is None
    os.close(first)
    assert not held(path)
    again = lock(path)
    assert again is not None
    os.close(again)


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runtime" / "a.lock"
    times: list[int] = []

    def flock(descriptor: int, operation: int) -> None:
        if not times:  # between the opening and the lock
            shutil.rmtree(path.parent)
        times.append(descriptor)
        real(descriptor, operation)

    real = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", flock)
    descriptor = lock(path)
    assert descriptor is not None
    assert len(times) == 2
    assert os.fstat(descriptor).st_ino == path.stat().st_ino
    os.close(descriptor)


def test_what_somebody_needs_stays(found: Paths) -> None:
    supervisor = lock(found.supervisor_lock)
    assert supervisor is not None
    core = lock(found.core_lock)
    assert core is not None
    leave(found)  # a core that another supervisor started
    assert found.core_lock.exists()
    os.close(core)
    machine = found.machine_runtime("01234567-89ab-cdef-0123-456789abcdef")
    machine.mkdir()
    leave(found)
    assert machine.exists()
    assert held(found.supervisor_lock)
    machine.rmdir()
    leave(found)
    assert not found.runtime.exists()
    os.close(supervisor)


@pytest.mark.slow
def test_a_core_that_stops_leaves_none_and_the_next_starts_at_once(found: Paths) -> None:
    def sandtop(*arguments: str) -> str:
        command = [sys.executable, "-m", "sandtop", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    seen = set[int]()
    for _ in range(3):  # each while the supervisor of the one before may still be leaving
        seen.add(json.loads(sandtop("core", "start", "--json"))["pid"])
        sandtop("core", "stop")
    assert len(seen) == 3
    end = time.monotonic() + 30
    while found.runtime.exists():
        assert time.monotonic() < end, os.listdir(found.runtime)
        time.sleep(0.02)
