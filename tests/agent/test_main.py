"""The agent as a process: the interpreter that it runs."""

from __future__ import annotations

import os
from pathlib import Path

from sandtop.agent.__main__ import keep


def test_an_interpreter_of_the_image_is_kept_in_memory_and_the_runtimes_removed(tmp_path: Path) -> None:
    running, own = tmp_path / "running", tmp_path / "own"
    for path in (running, own):
        path.write_bytes(b"x" * 10_000)
    kept = keep(str(running), str(own))
    assert kept is not None
    assert kept[:2] == b"xx"
    assert not own.exists()
    mappings = Path("/proc/self/smaps").read_text().partition(str(running))[2]
    facts = dict(line.split(":", 1) for line in mappings.splitlines()[1:24] if ":" in line)
    assert facts["Locked"].split() == ["12", "kB"]


def test_an_interpreter_of_the_runtime_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.touch()
    os.link(own, tmp_path / "running")
    assert keep(str(tmp_path / "running"), str(own)) is None
    assert own.exists()
