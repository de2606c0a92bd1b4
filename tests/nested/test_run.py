"""What `just nested` says before it starts anything; what it does then is seen by running it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tests.nested import lacks, outer, run, suite
from tests.nested.outer import CHECKOUT

from sandtop.core.machine import Channel

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Host:
    """One that lacks nothing, unless a test takes it away.

    Attributes:
        folder: where its outer machine would be built is below it.
    """

    folder: Path
    uid: int = 0
    missing: str = ""
    memory_mib: int = 1 << 20
    disk_mib: int = 1 << 20

    def which(self, name: str) -> str | None:
        return None if name == self.missing else f"/usr/bin/{name}"

    def usage(self, _path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=self.disk_mib << 20)

    def place(self) -> Path:
        return self.folder / "cache" / "key"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    host = Host(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: host.uid)
    monkeypatch.setattr(shutil, "which", host.which)
    monkeypatch.setattr(shutil, "disk_usage", host.usage)
    monkeypatch.setattr(lacks, "available_mib", lambda: host.memory_mib)
    monkeypatch.setattr(outer, "place", host.place)
    return host


def said(capsys: pytest.CaptureFixture[str]) -> str:
    assert run.main(["test"]) == 125
    return capsys.readouterr().err


@pytest.mark.usefixtures("host")
def test_nothing_is_lacking() -> None:
    assert lacks.lacks() is None


def test_who_is_not_root(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.uid = 1000
    assert said(capsys) == "nested: it makes a root file system and runs programs in it: run it as root\n"


def test_a_program_that_is_missing(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.missing = "mmdebstrap"
    assert said(capsys) == "nested: this host lacks mmdebstrap: run ./bootstrap setup\n"


def test_too_little_memory(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.memory_mib = 2000
    assert said(capsys) == (
        "nested: the outer machine takes up to 5120 MiB of memory, and 2000 MiB are free here\n"
    )


def test_too_little_disk_to_build_or_to_run(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.disk_mib = 3000
    assert said(capsys) == (
        f"nested: it takes 4000 MiB of the disk under {host.folder}, where 3000 MiB are free\n"
    )
    host.place().mkdir(parents=True)  # it is built: what a run takes is there
    assert lacks.lacks() is None
    host.disk_mib = 1000
    assert said(capsys) == (
        f"nested: it takes 2000 MiB of the disk under {lacks.written_to()}, where 1000 MiB are free\n"
    )


def test_its_tests_are_there() -> None:
    named = {word.partition("::")[0] for words in suite.RUNS.values() for word in words}
    assert [path for path in named if not (CHECKOUT / path).is_file()] == []


def test_the_table_of_what_ran(tmp_path: Path) -> None:
    for channel, extra in (
        (Channel.VIRTIO_SERIAL, '<testcase classname="tests.a" name="once" time="2"/>'),
        (Channel.VSOCK, ""),
    ):
        (tmp_path / f"{channel.value}.xml").write_text(
            '<testsuites><testsuite><testcase classname="tests.vm.b" name="each[x]" time="1.5"/>'
            '<testcase classname="tests.vm.b" name="skipped" time="0"><skipped message="why"/></testcase>'
            f'<testcase classname="tests.vm.b" name="bad" time="1"><failure message="no"/></testcase>{extra}'
            "</testsuite></testsuites>"
        )
    assert suite.table(tmp_path) == (
        "| test | virtio-serial | vsock |\n"
        "|---|---:|---:|\n"
        "| a::once | 2.0 s |  |\n"
        "| vm/b::bad | **failure** | **failure** |\n"
        "| vm/b::each[x] | 1.5 s | 1.5 s |\n"
        "| vm/b::skipped | skipped: why | skipped: why |\n"
        "| all | 4 in 4 s | 3 in 2 s |\n"
    )


def test_what_a_killed_run_left_goes_with_the_next(host: Host) -> None:
    killed = host.place().parent / "runs" / "run-killed"
    killed.mkdir(parents=True)
    (killed / "checkout.tar").touch()
    with outer.shared_folder() as ours:
        assert [*killed.parent.glob("*/")] == [ours]
        with outer.shared_folder() as another:
            assert {*killed.parent.glob("*/")} == {ours, another}
    assert [*killed.parent.glob("*/")] == []
