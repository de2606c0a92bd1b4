"""Commands on a terminal that nobody reads, as after ctrl-s or on a stopped ssh: told to end, they end."""

from __future__ import annotations

import os
import signal
import subprocess
import termios
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .process import command

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.fakecore import FakeCore

pytestmark = pytest.mark.slow  # real terminals, and each has to be filled first

KEPT = 8192
"""Bytes that the kernel keeps of a terminal's output at least, whatever else it is doing."""
FLOOD = "while :; do echo a line that is long enough to fill what the kernel keeps; done"


class Stalled:
    """``sandtop ARGUMENTS`` on a terminal that takes nothing after what the kernel keeps."""

    def __init__(self, *arguments: str) -> None:
        self.master, self.slave = os.openpty()
        self.usual = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            command(*arguments),
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )

    def fill(self) -> None:
        """Wait until it takes nothing more of what the command has for it.

        There is no event for that, and poll may call it writable still: the kernel finds room again for what it has.
        """
        written, quiet = -1, 0
        while quiet < 15 or written < KEPT:
            assert self.process.poll() is None
            time.sleep(0.02)
            before, written = written, self._written()
            quiet = quiet + 1 if written == before else 0

    def _written(self) -> int:
        """Bytes that the command has written to all that it has open."""
        fields = Path(f"/proc/{self.process.pid}/io").read_text(encoding="ascii").split()
        return int(fields[fields.index("wchar:") + 1])

    def drain(self) -> bytes:
        """All that it has shown in the end."""
        os.close(self.slave)
        self.slave = -1
        seen = b""
        try:
            while data := os.read(self.master, 65536):
                seen += data
        except OSError:  # EIO: the last who had it open is gone
            pass
        return seen

    @property
    def restored(self) -> bool:
        return termios.tcgetattr(self.slave) == self.usual


@contextmanager
def stalled(*arguments: str) -> Generator[Stalled]:
    found = Stalled(*arguments)
    try:
        found.fill()
        yield found
    finally:
        found.process.kill()
        found.process.wait()
        os.close(found.master)
        if found.slave >= 0:
            os.close(found.slave)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("options", [(), ("-t",), ("-t", "-i"), ("-i",)])
def test_exec_ends_with_its_command(fake: FakeCore, number: signal.Signals, options: tuple[str, ...]) -> None:
    with stalled("exec", *options, "demo", "--", "sh", "-c", FLOOD) as terminal:
        terminal.process.send_signal(number)
        assert terminal.process.wait(30) == 128 + number
        assert terminal.restored
        (session,) = fake.sessions.values()
        assert session.exit_code == 128 + number


@pytest.mark.parametrize("options", [(), ("-t", "-i")])
def test_exec_ends_at_the_second_signal_when_its_command_does_not(
    fake: FakeCore, options: tuple[str, ...]
) -> None:
    program = f"trap '' TERM; {FLOOD}"
    with stalled("exec", *options, "demo", "--", "sh", "-c", program) as terminal:
        (session,) = fake.sessions.values()
        terminal.process.send_signal(signal.SIGTERM)
        while not any(request["op"] == "session.signal" for request in fake.requests):
            time.sleep(0.02)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(30) == 128 + signal.SIGTERM
        assert terminal.restored
        assert session.record is None  # it goes on


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_attach_ends_at_once_and_its_program_goes_on(fake: FakeCore, number: signal.Signals) -> None:
    program = rf"printf '\033[?1003h'; {FLOOD}"
    with stalled("attach", "demo", "--", "sh", "-c", program) as terminal:
        (session,) = fake.sessions.values()
        terminal.process.send_signal(number)
        assert terminal.process.wait(30) == 128 + number
        assert terminal.restored
        assert session.record is None
        assert b"\x1b[?1003l" in terminal.drain()  # what it shows once somebody reads again


def test_run_removes_its_sandbox(fake: FakeCore) -> None:
    with stalled("run", "-t", "--", "sh", "-c", FLOOD) as terminal:
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(30) == 128 + signal.SIGTERM
    assert list(fake.sandboxes) == ["demo"]


def test_output_that_is_taken_late_is_whole(fake: FakeCore) -> None:
    """Nothing is dropped as long as nobody says that it is to end."""
    program = "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo line $i of a program that ends; done"
    with stalled("exec", "demo", "--", "sh", "-c", program) as terminal:
        (session,) = fake.sessions.values()
        while session.record is None:
            time.sleep(0.02)
        time.sleep(1.5)  # longer than one that was told to end waits
        seen = terminal.drain()
        assert terminal.process.wait(30) == 0
        assert seen.split(b"\r\n")[:-1] == [b"line %d of a program that ends" % n for n in range(1, 4001)]


def test_the_core_gone_does_not_keep_attach(fake: FakeCore) -> None:
    with stalled("attach", "demo", "--", "sh", "-c", FLOOD) as terminal:
        fake.die()
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(30) == 128 + signal.SIGTERM
        assert terminal.restored
        fake.come_back()
