"""Who waits for somebody to type on a terminal: told once it is so, and once it is not so any more."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import tty
from typing import TYPE_CHECKING, cast

import pytest

from sandtop.agent.waiting import QUIET, waits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .core_side import CoreSide

SIZE = {"rows": 24, "columns": 80}


@pytest.mark.slow
def test_a_question_waits_until_it_is_answered(core: CoreSide) -> None:
    run = core.start("/bin/sh", "-c", "printf 'go on? '; read line; echo going; sleep 1000", tty=SIZE)
    core.wait(lambda: run.waiting == ["leader"])
    core.write(run, b"y\n")
    core.wait(lambda: run.waiting == ["leader", ""])
    core.operate("signal", id=run.id, signal=signal.SIGKILL, scope="all")
    core.finish(run)


@pytest.mark.slow
def test_a_program_in_the_foreground_of_a_shell(core: CoreSide) -> None:
    run = core.start("/bin/sh", "-mc", "sh -c 'read line; exit 3'; read line; exit 4", tty=SIZE)
    core.wait(lambda: run.waiting == ["other"])
    core.write(run, b"y\n")
    core.wait(lambda: run.waiting == ["other", "", "leader"])
    core.write(run, b"y\n")
    core.finish(run)
    assert run.record is not None
    assert run.record["code"] == 4


@pytest.mark.slow
def test_the_program_in_the_foreground_is_told(core: CoreSide) -> None:
    run = core.start("/bin/sh", "-mc", "sh -c 'read line; exit 3'; read line; exit 4", tty=SIZE)
    core.wait(lambda: run.programs == ["sh -c read line; exit 3"])
    core.write(run, b"y\n")
    core.wait(lambda: len(run.programs) == 2)
    assert run.programs[1].startswith("/bin/sh -mc")
    core.write(run, b"y\n")
    core.finish(run)


@pytest.mark.slow
def test_one_who_computes_or_sleeps_does_not_wait(core: CoreSide) -> None:
    run = core.start("/bin/sh", "-c", "sleep 2; echo asks; read line", tty=SIZE)
    core.wait(lambda: run.stdout == b"asks\r\n")
    assert run.waiting == []
    core.wait(lambda: run.waiting == ["leader"])
    core.write(run, b"\n")
    core.finish(run)


@pytest.mark.slow
def test_a_new_core_is_told(core: CoreSide) -> None:
    run = core.start("/bin/sh", "-c", "read line", tty=SIZE)
    core.wait(lambda: run.waiting == ["leader"])
    sessions = cast("list[dict[str, object]]", core.link()["sessions"])
    assert [each["waiting"] for each in sessions] == ["leader"]
    core.serve(2 * QUIET)
    assert run.waiting == ["leader"], "the credit of a new link is no output"
    core.write(run, b"\n")
    core.finish(run)


# ---- by what the kernel tells


PROGRAMS = {
    "reads": ("import os; os.read(0, 1)", True, True),
    "reads /dev/tty": ("import os; f = os.open('/dev/tty', os.O_RDWR); os.read(f, 1)", True, True),
    "reads a pipe": ("import os; os.read(os.pipe()[0], 1)", False, False),
    "sleeps": ("import time; time.sleep(1000)", False, False),
    "polls for ever": ("import select; p = select.poll(); p.register(0, 1); p.poll()", False, True),
    "polls for a while": (
        "import select; p = select.poll(); p.register(0, 1); p.poll(1000000)",
        False,
        False,
    ),
    "selects for ever": ("import select; select.select([0], [], [])", False, True),
    "selects for a while": ("import select; select.select([0], [], [], 1000)", False, False),
    "epoll for ever": ("import select; select.epoll().poll()", False, True),
    "epoll for a while": ("import select; select.epoll().poll(1000)", False, False),
    "computes": ("while True: pass", False, False),
}
"""Each with whether it waits in line mode, and else."""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("kind", PROGRAMS)
def test_who_waits(kind: str, terminal: tuple[int, int]) -> None:
    body, by_line, by_key = PROGRAMS[kind]
    _, slave = terminal
    tty.setraw(slave)
    program = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); print('up', flush=True)\n{body}"
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", program], stdin=slave, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.read(2) == b"up"
        device = os.fstat(slave).st_rdev
        _until_it_stands(child.pid, still=kind != "computes")
        for mode, expected in ((True, by_line), (False, by_key)):
            assert waits(child.pid, child.pid, device, by_line=mode) is expected
        assert not waits(child.pid, child.pid + 1, device, by_line=False), "it is in the background"
        if kind == "reads":
            assert not waits(child.pid, child.pid, device + 1, by_line=True), "another's terminal"
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    assert not waits(child.pid, child.pid, 0, by_line=False), "it is gone"


def _until_it_stands(pid: int, *, still: bool) -> None:
    while still:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            words = file.read().split()
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            state = file.read().rpartition(")")[2].split()[0]
        # the write of "up" is over
        if state == "S" and words[0] not in ("running", "1", "202"):
            return
