"""What every test shares: the run's own temporary folders, the order, the times, and the check for leftovers."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from tests.settings import SLOWER

from sandtop.core import open_files

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = f"sandtop-tests-{uuid.uuid4().hex}"
"""Every process that a test starts, however far removed, has this in its environment as ``SANDTOP_TEST_RUN``."""

VM_TIMEOUT = 180.0
"""Seconds that a test on virtual machines may take, unless it says otherwise: emulated, a boot alone takes 3–8 s."""

CHAOS_ROUNDS = int(os.environ.get("SANDTOP_CHAOS_ROUNDS", "10"))
"""How often a chaos test does its worst: in CI a few times, in ``just chaos`` many."""

LONG = (
    "tests/vm/test_readme.py",
    "tests/tui/test_real.py",
    "tests/vm/templates/test_templates.py",
    "tests/vm/sessions/test_container.py",
    "tests/vm/sessions/test_pressure.py",
    "tests/agent/test_guest.py",
    "tests/vm/sessions/test_chaos.py",
    "tests/vm/sessions/test_attach.py",
    "tests/vm/sessions/test_cases.py",
    "tests/vm/templates/test_races.py",
    "tests/vm/templates/test_unique.py",
    "tests/vm/templates/test_entropy.py",
    "tests/core/guest/test_boot.py",
    "tests/vm/sessions/test_core_killed.py",
)
"""Files whose tests on machines take longest, the longest first. One of them as the last would keep a worker alone."""

# a busy machine is no failure: pytest's own time limit finds what hangs
hypothesis.settings.register_profile("sandtop", deadline=None)
hypothesis.settings.load_profile("sandtop")

_DESCRIPTORS = 8192
"""Open files of a worker of ours, where that many are allowed: both ends of as many connections as there can be."""

_ROOT = pytest.StashKey[Path]()
_seconds = {"quick tests": 0.0, "slow tests": 0.0, "tests on virtual machines": 0.0}


def pytest_configure(config: pytest.Config) -> None:
    # pytest's own tmp_path stays where it was, and stays after a failure; all else is ours to check and remove
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    root = Path(tempfile.mkdtemp(prefix="st-"))  # short: sockets live below it
    root.chmod(0o711)  # QEMU under a uid of its own has to pass
    config.stash[_ROOT] = root
    for variable, name in (("TMPDIR", "tmp"), ("XDG_RUNTIME_DIR", "run")):
        (root / name).mkdir(mode=0o711)
        os.environ[variable] = str(root / name)
    tempfile.tempdir = None
    os.environ["SANDTOP_TEST_RUN"] = RUN
    if 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] < _DESCRIPTORS:
        open_files.limit(_DESCRIPTORS)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_ROOT], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "vm" in item.path.relative_to(item.config.rootpath / "tests").parts:
            item.add_marker("vm")
        if "vm" in item.keywords:
            rounds = CHAOS_ROUNDS if "chaos" in item.keywords else 1
            own = item.get_closest_marker("timeout")
            limit = VM_TIMEOUT * max(1, rounds / 10) if own is None else float(own.args[0])
            item.add_marker(pytest.mark.timeout(limit * SLOWER), append=False)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[bool, int]:
    """Quick tests first: most mistakes show in seconds. On machines `LONG` first, so that workers end together."""
    if "vm" not in item.keywords:
        return False, 0
    name = item.nodeid.partition("::")[0]
    return True, LONG.index(name) if name in LONG else len(LONG)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    group = (
        "tests on virtual machines"
        if "vm" in report.keywords
        else "slow tests"
        if "slow" in report.keywords
        else "quick tests"
    )
    _seconds[group] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("time")
    for group, seconds in _seconds.items():
        if seconds:
            terminalreporter.line(f"{group}: {seconds:.0f} s")


@pytest.fixture
def chaos_rounds() -> int:
    return CHAOS_ROUNDS


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_behind(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Fails the run when the tests left a process, a socket or a temporary file behind."""
    root = pytestconfig.stash[_ROOT]
    ours = (str(root), str(tmp_path_factory.getbasetemp()))
    plugins_own = set((root / "tmp").iterdir())
    yield
    deadline = time.monotonic() + 5  # what was told to end may need a moment to be gone
    while (processes := _processes(ours)) and time.monotonic() < deadline:
        time.sleep(0.1)
    found = [f"process {pid}: {command}" for pid, command in processes.items()]
    found += [f"file {path}" for path in set((root / "tmp").iterdir()) - plugins_own]
    found += [f"socket {path}" for path in (root / "run").rglob("*") if path.is_socket()]
    for pid in processes:
        os.kill(pid, signal.SIGKILL)
    if found:
        pytest.fail("the tests left behind:\n" + "\n".join(found), pytrace=False)


def _processes(ours: tuple[str, ...]) -> dict[int, str]:
    """The command lines of the living processes that this run's tests started, by pid."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int(entry.name) != os.getpid() and _is_ours(entry, ours):
                command = (entry / "cmdline").read_bytes()
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # gone meanwhile, or another user's
            continue
    return found


def _is_ours(process: Path, ours: tuple[str, ...]) -> bool:
    if RUN.encode() in (process / "environ").read_bytes():
        return True
    # QEMU gets no environment and no path on its command line, but holds a sandbox's files open
    return any(os.readlink(descriptor).startswith(ours) for descriptor in (process / "fd").iterdir())
