"""The agent as an ordinary process of this host, for all that needs no machine of its own."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.cgroups import SPARE, TIDY_AFTER

from .core_side import CoreSide

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_GONE = 5.0


class HostedAgent:
    """The running agent: its process, what it printed, its cgroups."""

    def __init__(self, process: subprocess.Popen[bytes], cgroup: Path) -> None:
        self.process = process
        self.cgroup = cgroup
        self.log = ""

    def says(self, text: str, deadline: float = 10.0) -> None:
        """Wait for ``text`` among what it prints from now on."""
        assert self.process.stderr is not None
        fd, end, begun = self.process.stderr.fileno(), time.monotonic() + deadline, len(self.log)
        while text not in self.log[begun:]:
            ready, _, _ = select.select([fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"it did not say {text!r}: {self.log}"
            said = os.read(fd, 65536)
            assert said, f"it ended without saying {text!r}: {self.log}"
            self.log += said.decode()

    @property
    def pid(self) -> int:
        """Of the agent itself: the only child of unshare."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text())

    @property
    def descriptors(self) -> list[str]:
        folder = Path(f"/proc/{self.pid}/fd")
        names: list[str] = []
        for entry in folder.iterdir():
            with suppress(FileNotFoundError):  # closed at this moment
                names.append(os.readlink(entry))
        return sorted(re.sub(r"/sessions/\d+/", "/sessions/N/", name) for name in names)

    @property
    def sessions(self) -> list[str]:
        """The cgroups of its sessions; when all is quiet those made ahead for the next ones."""
        return [entry.name for entry in (self.cgroup / "sessions").iterdir() if entry.is_dir()]

    @property
    def processes(self) -> list[int]:
        """All processes of its sessions."""
        pids: list[int] = []
        for folder in self.sessions:
            with suppress(OSError):  # removed at this moment, so it is empty
                for procs in (self.cgroup / "sessions" / folder).rglob("cgroup.procs"):
                    pids += map(int, procs.read_text().split())
        return pids

    @property
    def tidy(self) -> bool:
        """Whether nothing is left of any session; there are the cgroups made ahead for the next ones."""
        held = sum(name.endswith("/sessions/N/cgroup.procs") for name in self.descriptors)
        return (len(self.sessions), held, self.processes) == (SPARE, SPARE, [])

    def busy(self) -> float:
        """Seconds of CPU that the agent has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _cgroup2() -> Path:
    if os.geteuid() != 0:
        pytest.skip("running an agent without a machine needs root")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, place, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(place)
    pytest.skip("there is no cgroup2 file system")


@contextmanager
def hosted_agent(*, way_out: str = "") -> Generator[tuple[HostedAgent, CoreSide]]:
    """An agent, and a core on its port that has not begun the link.

    With ``way_out``, the addresses that one has, it is in a network namespace of its own and has one.
    """
    cgroup = _cgroup2() / f"sandtop-agent-{uuid.uuid4().hex[:12]}"
    cgroup.mkdir()
    ours, theirs = socket.socketpair()
    script = Path(__file__).with_name("hosted.py")
    try:
        with (
            ours,
            theirs,
            subprocess.Popen(
                [
                    "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts",
                    *(["--net"] if way_out else []),
                    sys.executable, "-c", _RUN, str(theirs.fileno()), str(script), str(cgroup),
                    *(["", "", way_out] if way_out else []),
                ],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            ) as process,
        ):  # fmt: skip
            theirs.close()
            try:
                yield HostedAgent(process, cgroup), CoreSide(ours)
            finally:
                process.kill()
    finally:
        _remove(cgroup)


# the port becomes descriptor 3; the others that may be open are the interpreter's own and close with the exec
_RUN = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)


def _remove(cgroup: Path) -> None:
    (cgroup / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + _GONE
    while "populated 1" in (cgroup / "cgroup.events").read_text():
        assert time.monotonic() < deadline, "the agent's processes do not die"
        time.sleep(0.01)
    for folder in sorted((path for path in cgroup.rglob("*") if path.is_dir()), reverse=True):
        folder.rmdir()
    cgroup.rmdir()


class _Shared:
    """One agent for the tests of a module; another one after a test that left something behind."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.pair: tuple[HostedAgent, CoreSide] | None = None
        self.at_rest: list[str] = []
        """The agent's descriptors when it had nothing to do."""

    def get(self) -> tuple[HostedAgent, CoreSide]:
        if self.pair is None:
            agent, core = self.stack.enter_context(hosted_agent())
            core.link()
            assert core.configure() is None
            self.pair = agent, core
            self.at_rest = _descriptors_when_tidy(agent, core)
        return self.pair

    def drop(self) -> None:
        self.pair = None
        self.stack.close()


@pytest.fixture(scope="module")
def _shared() -> Iterator[_Shared]:
    shared = _Shared()
    yield shared
    shared.drop()


@pytest.fixture
def agent(_shared: _Shared) -> HostedAgent:
    return _shared.get()[0]


@pytest.fixture
def core(_shared: _Shared) -> Iterator[CoreSide]:
    """A core on a link to a configured agent. A test that leaves anything behind in the agent fails."""
    agent, core = _shared.get()
    yield core
    try:
        assert _descriptors_when_tidy(agent, core) == _shared.at_rest
    except BaseException:
        _shared.drop()
        raise


def _descriptors_when_tidy(agent: HostedAgent, core: CoreSide) -> list[str]:
    """Its descriptors once it is at rest, for longer than it leaves what ended alone."""
    found: list[str] = []
    since = time.monotonic()
    deadline = since + 20
    while time.monotonic() < deadline:
        core.ping()
        core.serve(TIDY_AFTER / 5)
        before = found
        with suppress(FileNotFoundError):  # it is tidying at this moment
            found = agent.descriptors
            if not agent.tidy or found != before:
                since = time.monotonic()
            elif time.monotonic() - since > 2 * TIDY_AFTER:
                return found
    pytest.fail(f"the agent is not tidy: cgroups {agent.sessions}, processes {agent.processes}, {agent.log}")
