"""Cores for the tests of clients: the fake one, and the real one with a real machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Protocol

import pytest
from tests.fakecore import FakeCore, sandbox
from tests.settings import write_settings

from sandtop.core import paths
from sandtop.core.client.link import call
from sandtop.core.contract.core import Status
from sandtop.core.guest import GuestStore

from .cli.process import Done, command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .cli.process import Run


class Core(Protocol):
    """A core with the sandbox ``demo``, where programs run."""

    def kill(self) -> None:
        """Kill it. It comes back by itself."""
        ...


class RealCore:
    def kill(self) -> None:
        pid = call(Status()).pid
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SANDTOP_HOME of its own, where nothing runs."""
    monkeypatch.setenv("SANDTOP_HOME", os.fspath(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def fake(home: Path) -> Iterator[FakeCore]:
    """A fake core with the sandbox ``demo``, where programs of this host run."""
    now = time.time()
    demo = sandbox("demo", created_at=now, started_at=now, workdir="/")
    paths.ensure_private(paths.find().runtime)
    with FakeCore(demo, programs=True, clock=time.time) as core:
        yield core
    core.path.parent.rmdir()


@pytest.fixture(scope="session")
def real_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A SANDTOP_HOME with a running sandbox ``demo``, for all tests; what takes minutes to build is the user's own."""
    built = paths.find()
    GuestStore(built).prepare()
    home = tmp_path_factory.mktemp("real")
    (home / "cache").symlink_to(built.cache)
    write_settings(home, "warm_machines = 0")  # nobody here waits for the next one
    environment = {**os.environ, "SANDTOP_HOME": os.fspath(home)}

    def sandtop(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "sandtop", *arguments], env=environment, check=True, timeout=170
        )

    sandtop("create", "demo")
    yield home
    sandtop("core", "stop", "--all")


@pytest.fixture
def real(real_home: Path, monkeypatch: pytest.MonkeyPatch) -> RealCore:
    """The real core. Tests that use it are marked ``vm``."""
    monkeypatch.setenv("SANDTOP_HOME", os.fspath(real_home))
    return RealCore()


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.vm)])
def core(request: pytest.FixtureRequest) -> Core:
    """The fake core and the real one, by turns."""
    which: str = request.param
    found: Core = request.getfixturevalue(which)
    return found


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
