"""A home of these tests' own with a core in it, and two sandboxes that they share: a boot costs seconds."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from tests.settings import SLOWER, write_settings
from tests.vm.client import client_of

from sandtop.core import paths
from sandtop.core.client.link import call_all, sandbox_listing, session_listing
from sandtop.core.guest import GuestStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 120.0 * SLOWER
"""Seconds for any one command here: emulated guests on a busy host are slow."""


class Home:
    """One SANDTOP_HOME, driven through the real command line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {**os.environ, "SANDTOP_HOME": str(path)}

    def popen(
        self, *arguments: str, stdin: int | None = None, stdout: int | None = None, stderr: int | None = None
    ) -> subprocess.Popen[bytes]:
        """``sandtop ARGUMENTS`` in the background."""
        return subprocess.Popen(
            [sys.executable, "-m", "sandtop", *arguments],
            env=self.environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )

    def run(
        self, *arguments: str, stdin: bytes = b"", timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[bytes]:
        """``sandtop ARGUMENTS``, whatever its exit status."""
        return subprocess.run(
            [sys.executable, "-m", "sandtop", *arguments],
            env=self.environment, input=stdin, capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip

    def do(self, *arguments: str, stdin: bytes = b"", timeout: float = PATIENCE) -> bytes:
        """The stdout of ``sandtop ARGUMENTS``, which must succeed."""
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"{arguments}: {done.returncode}: {done.stderr.decode()}"
        return done.stdout

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        """The list that ``sandtop ARGUMENTS --json`` prints."""
        return cast("list[dict[str, Any]]", json.loads(self.do(*arguments, "--json")))

    def sessions(self, box: str) -> list[dict[str, Any]]:
        """What ``sandtop sessions BOX --json`` prints."""
        with client_of(self.path):
            return [session.to_json() for session in call_all(session_listing(box))]

    def session(self, box: str, key: str) -> dict[str, Any]:
        return next(session for session in self.sessions(box) if session["id"] == key)

    def last_session(self, box: str) -> dict[str, Any]:
        return self.sessions(box)[-1]

    def boxes(self) -> list[dict[str, Any]]:
        """What ``sandtop ls --json`` prints."""
        with client_of(self.path):
            return [sandbox.to_json() for sandbox in call_all(sandbox_listing())]

    def box(self, name: str) -> dict[str, Any]:
        return next(each for each in self.boxes() if each["name"] == name)

    @property
    def socket(self) -> Path:
        name = subprocess.run(
            [sys.executable, "-c", "from sandtop.core import paths; print(paths.find().core_socket)"],
            env=self.environment, capture_output=True, check=True,
        ).stdout  # fmt: skip
        return Path(name.decode().strip())

    def core_pid(self) -> int | None:
        """The process that listens on the core's socket; None while none does."""
        path = os.path.join(os.environ["XDG_RUNTIME_DIR"], self.socket_name)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            try:
                probe.connect(path)
            except OSError:
                return None
            raw = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", raw)[0])

    _socket_name: str | None = None

    @property
    def socket_name(self) -> str:
        if self._socket_name is None:
            self._socket_name = os.path.relpath(self.socket, os.environ["XDG_RUNTIME_DIR"])
        return self._socket_name

    def kill_core(self) -> int | None:
        """``kill -9`` of the core; its pid, or None when none was there to be killed."""
        pid = self.core_pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    def supervisors(self) -> list[int]:
        """Its supervisor, and for a moment one more where a client thought that there was none."""
        found: list[int] = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ends at this moment
                words = (entry / "cmdline").read_bytes().split(b"\0")
                ours = f"SANDTOP_HOME={self.path}".encode() in (entry / "environ").read_bytes().split(b"\0")
                if ours and b"sandtop.core.daemon" in words and b"--serve" not in words:
                    found.append(int(entry.name))
        return found

    def supervisor_pid(self) -> int:
        """The core's parent."""
        core = self.core_pid()
        assert core is not None
        return int(Path(f"/proc/{core}/stat").read_text().rsplit(")", 1)[1].split()[1])


SETTINGS: Final = "warm_machines = 0"
"""Of the home that all share. Nobody here waits for a machine: those that stand by would only be more to emulate."""


def say(text: str) -> None:
    """A figure or a seed, for whoever runs the tests with -s or sees one fail."""
    sys.stdout.write(f"{text}\n")


def eventually(what: Callable[[], object], seconds: float = 30.0) -> float:
    """Wait until ``what()`` is true; how long that took. Fails after ``seconds``, longer on a slower host."""
    begun, seconds = time.monotonic(), seconds * SLOWER
    while not what():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - begun


def memory_kib(pid: int) -> int:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    built = paths.find()
    GuestStore(built).prepare()
    folder = tmp_path_factory.mktemp("h")
    folder.chmod(0o711)
    folder.parent.chmod(0o711)
    (folder / "cache").symlink_to(built.cache)
    write_settings(folder, SETTINGS)
    home = Home(folder)
    yield home
    for sandbox in home.boxes():
        home.do("rm", "--force", sandbox["name"])
    home.do("core", "stop", "--all")


@pytest.fixture(scope="session")
def box(home: Home) -> str:
    """A running sandbox. Whoever ends it starts it again."""
    home.do("create", "box", "--memory", "512")
    return "box"


@pytest.fixture(scope="session")
def other(home: Home) -> str:
    home.do("create", "other", "--memory", "512")
    return "other"


@pytest.fixture(autouse=True)
def _sdk_uses_this_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDTOP_HOME", str(home.path))
