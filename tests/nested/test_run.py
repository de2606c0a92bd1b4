"""What `just nested` says before it starts anything; what it does then is seen by running it."""

from __future__ import annotations

import os
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tests.nested import lacks, outer, run, suite
from tests.nested.outer import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path


def test_its_tests_are_there() -> None:
    named = {word.partition("::")[0] for words in suite.RUNS.values() for word in words}
    assert [path for path in named if not (CHECKOUT / path).is_file()] == []


@pytest.fixture
def enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A host that lacks nothing; the folder where its outer machine would be built."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1 << 40))
    monkeypatch.setattr(lacks, "available_mib", lambda: 1 << 20)
    monkeypatch.setattr(outer, "place", lambda: tmp_path / "cache" / "key")
    return tmp_path


@pytest.mark.usefixtures("enough")
def test_nothing_is_lacking() -> None:
    assert lacks.lacks() is None


def said(capsys: pytest.CaptureFixture[str]) -> str:
    assert run.main(["test"]) == 125
    return capsys.readouterr().err


@pytest.mark.usefixtures("enough")
def test_who_is_not_root(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert said(capsys) == "nested: it makes a root file system and runs programs in it: run it as root\n"


@pytest.mark.usefixtures("enough")
def test_a_program_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "mmdebstrap" else f"/usr/bin/{name}")
    assert said(capsys) == "nested: this host lacks mmdebstrap: run ./bootstrap setup\n"


@pytest.mark.usefixtures("enough")
def test_too_little_memory(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(lacks, "available_mib", lambda: 2000)
    assert said(capsys) == (
        "nested: the outer machine takes up to 4096 MiB of memory, and 2000 MiB are free here\n"
    )


def test_too_little_disk_to_run_or_to_build(
    enough: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=3000 << 20))
    assert said(capsys) == (
        f"nested: it takes 4000 MiB of the disk under {enough}, where 3000 MiB are free\n"
    )
    outer.place().mkdir(parents=True)  # it is built: no more is needed than for a run
    assert lacks.lacks() is None
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1000 << 20))
    assert said(capsys) == (
        f"nested: it takes 2000 MiB of the disk under {lacks.written_to()}, where 1000 MiB are free\n"
    )
