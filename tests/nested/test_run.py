"""What `just nested` says before it starts anything; what it does then is seen by running it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from tests.nested import lacks, outer, run, suite
from tests.nested.outer import CHECKOUT
from tests.nested.ran import Ran, read

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
        (Channel.VIRTIO_SERIAL, [Ran("tests/a.py::once", "passed", 2.0)]),
        (Channel.VSOCK, []),
    ):
        rans = [
            Ran("tests/vm/b.py::each[x]", "passed", 1.5),
            Ran("tests/vm/b.py::skipped", "skipped", 0, "why"),
            Ran("tests/vm/b.py::bad", "failed", 1, "E   assert False"),
            *extra,
        ]
        lines = [json.dumps(asdict(each)) for each in rans]
        (tmp_path / f"{channel.value}.jsonl").write_text("\n".join([*lines, ""]))
    assert suite.table(tmp_path) == (
        "| test | virtio-serial | vsock |\n"
        "|---|---:|---:|\n"
        "| a::once | 2.0 s |  |\n"
        "| vm/b::bad | **failed** | **failed** |\n"
        "| vm/b::each[x] | 1.5 s | 1.5 s |\n"
        "| vm/b::skipped | skipped: why | skipped: why |\n"
        "| all | 4 in 4 s | 3 in 2 s |\n"
    )
    assert suite.failures(tmp_path) == "".join(
        f"\n==> tests/vm/b.py::bad over {channel}\nE   assert False\n"
        for channel in ("virtio-serial", "vsock")
    )


def test_what_ran_is_kept_as_each_test_ends(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os, pytest\n"
        "def test_passes(): pass\n"
        "def test_fails(): assert False\n"
        "@pytest.mark.skip(reason='not here')\n"
        "def test_is_skipped(): pass\n"
        "@pytest.fixture\n"
        "def broken():\n    yield\n    raise OSError\n"
        "def test_whose_fixture_fails_at_its_end(broken): pass\n"
        "def test_that_sees_those_before_it(): assert open(os.environ['RAN']).read().count('\\n') == 4\n"
    )
    argv = ["-q", "--rootdir=.", "-c", "/dev/null", "-p", "tests.nested.ran"]
    path = f"{CHECKOUT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = {**os.environ, "RAN": str(tmp_path / "ran"), "PYTHONPATH": path}
    environment.pop("PYTEST_XDIST_WORKER", None)  # this test may run in one, and what it starts is none
    subprocess.run(
        [sys.executable, "-m", "pytest", *argv, "test_it.py"],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
    )
    assert [(each.name.removeprefix("test_it.py::"), each.outcome) for each in read(tmp_path / "ran")] == [
        ("test_passes", "passed"),
        ("test_fails", "failed"),
        ("test_is_skipped", "skipped"),
        ("test_whose_fixture_fails_at_its_end", "failed"),
        ("test_that_sees_those_before_it", "passed"),
    ]
    assert (
        "assert False"
        in next(each for each in read(tmp_path / "ran") if each.name.endswith("test_fails")).why
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


@pytest.mark.parametrize(
    ("word", "status", "machines", "breaks"),
    [("test", 7, 2, "exit 1"), ("true", 125, 1, "exit 1"), ("test", 7, 2, "exec sleep 1000")],
)
def test_a_machine_that_breaks_down_is_followed_by_another(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    word: str,
    status: int,
    machines: int,
    breaks: str,
) -> None:
    """Programs of the host stand in for the outer machine: the first ends without a result or stands still, the next
    has one."""

    def qemu(_outer: outer.Outer, share: Path, *, shell: bool) -> list[str]:
        assert not shell
        script = (
            f'echo one >>results/machines; [ "$(wc -l <results/machines)" != 1 ] || {breaks}; echo 7 >status'
        )
        return ["sh", "-c", f'cd "$0" && {script}', str(share)]

    host.place().mkdir(parents=True)
    monkeypatch.setattr(run, "_qemu", qemu)
    monkeypatch.setattr(run, "find_or_build", lambda: outer.Outer(tmp_path, tmp_path, tmp_path))
    monkeypatch.setattr(run, "_LOOK_SECONDS", 0.2)
    monkeypatch.setattr(run, "_RESULTS", tmp_path / "results")
    assert run.main([word]) == status
    assert (tmp_path / "results" / "machines").read_text() == "one\n" * machines
