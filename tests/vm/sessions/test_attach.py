"""A terminal in a sandbox: one comes, goes, comes back, watches, takes over, and the core dies meanwhile."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from .conftest import eventually
from .seat import Seat

if TYPE_CHECKING:
    from collections.abc import Generator

    from .conftest import Home

DETACH = b"\x1d"
PROMPT = "sh$"


@contextmanager
def attached(home: Home, box: str, *arguments: str, size: tuple[int, int] = (24, 80)) -> Generator[Seat]:
    """A new shell, at its first prompt; whatever runs in it ends with the block."""
    with Seat(home, "attach", "-e", f"PS1={PROMPT}", *arguments, box, size=size) as seat:
        seat.until(PROMPT)
        key = home.last_session(box)["id"]
        try:
            yield seat
        finally:
            home.run("signal", "--scope", "all", box, key, "KILL")


def kill(home: Home, killed: set[int]) -> None:
    """Kill the core, one that is not among ``killed`` yet."""
    eventually(lambda: home.core_pid() not in {None, *killed})
    pid = home.kill_core()
    assert pid is not None
    killed.add(pid)


def leave(seat: Seat) -> None:
    seat.type(DETACH)
    assert seat.ended() == 0
    assert seat.restored()


def test_a_shell_and_its_window(home: Home, box: str) -> None:
    """The size is right at the first prompt and follows; the exit status comes back; the terminal is as before."""
    program = (
        "stty size; echo $MARK $PWD $TERM; until [ \"$(stty size)\" = '17 60' ]; do sleep 0.1; done;"
        "echo resized; stty -echo; exit 41"
    )
    options = ("-w", "/tmp", "-e", "MARK=here")
    with Seat(home, "attach", *options, box, "--", "sh", "-c", program, size=(31, 117)) as seat:
        seat.until("31 117")
        seat.until("here /tmp xterm-256color")
        assert not seat.restored()
        seat.resize(17, 60)
        seat.until("resized")
        assert seat.ended() == 41
        assert seat.restored()
    assert home.last_session(box)["exit_code"] == 41


def test_leave_and_come_back_to_the_same_screen(home: Home, box: str) -> None:
    """Colours, scrollback, a title and how keys are sent; then the alternate screen, which one's terminal leaves."""
    with attached(home, box) as seat:
        key = home.last_session(box)["id"]
        seat.type(
            b"seq 1 60; printf '\\033[>1u\\033[>4;2m\\033]2;tit''le\\033\\\\\\033[1;31mred\\033[0m\\n'\r"
        )
        seat.until(lambda: seat.screen.title == "title")
        seat.until(f"red\n{PROMPT}")
        state = seat.screen.state()
        leave(seat)
        assert f"come back: sandtop attach {box} {key}" in seat.text.replace("\n", "")
        with Seat(home, "attach", box, key[:7]) as again:
            again.until(f"red\n{PROMPT}")
            assert again.screen.state() == state
            again.type(b"less /etc/passwd\r")
            again.until(lambda: again.screen.modes.alternate_screen and "(END)" in again.screen.text())
            full = again.screen.state()
            leave(again)
            assert not again.screen.modes.alternate_screen
        with Seat(home, "attach", box, key) as third:
            third.until(lambda: third.screen.state() == full)
            third.type(b"q")
            third.until(lambda: not third.screen.modes.alternate_screen)
            third.type(b"exit 3\r")
            assert third.ended() == 3
        done = home.run("attach", box, key)
        assert done.returncode == 125


def test_one_types_and_all_see(home: Home, box: str) -> None:
    with attached(home, box) as first:
        key = home.last_session(box)["id"]
        holder = home.session(box, key)["input_holder"]
        assert f"pid {first.pid}" in holder
        with Seat(home, "attach", "--read-only", box, key) as watcher:
            watcher.until(lambda: f"pid {first.pid}" in watcher.screen.title)
            watcher.type(b"echo from a watcher\r")
            first.type(b"echo from the $((1))st\r")
            watcher.until("from the 1st")
            first.until("from the 1st")
            assert "from a watcher" not in first.text + watcher.text
            with Seat(home, "attach", box, key) as refused:
                assert refused.ended() == 125
                assert "--take" in refused.text.replace("\n", "")
            first.signal(signal.SIGSTOP)  # frozen, not gone
            with Seat(home, "attach", "--take", box, key) as taker:
                taker.until("from the 1st")
                taker.type(b"echo from the $((2))nd\r")
                taker.until("from the 2nd")
                watcher.until("from the 2nd")
                watcher.until(lambda: f"pid {taker.pid}" in watcher.screen.title)
                assert f"pid {taker.pid}" in home.session(box, key)["input_holder"]
                first.signal(signal.SIGCONT)
                first.until("took the input over")
                first.type(b"echo from the loser\r")
                taker.signal(signal.SIGKILL)
                taker.ended()
            eventually(lambda: home.session(box, key)["input_holder"] is None)
            with Seat(home, "attach", box, key) as last:
                last.until("from the 2nd")
                last.type(b"echo from the $((3))rd\r")
                last.until("from the 3rd")
                assert "from the loser" not in last.text
                leave(last)


def test_the_terminal_is_restored_whatever_ends_the_client(home: Home, box: str) -> None:
    with attached(home, box) as seat:
        key = home.last_session(box)["id"]
        seat.type(b"printf '\\033[?1049h\\033[?1002h\\033[?25l'; echo in\r")
        seat.until(lambda: seat.screen.modes.mouse)
        seat.signal(signal.SIGTERM)
        assert seat.ended() == 128 + signal.SIGTERM
        assert seat.restored()
        assert not seat.screen.modes.alternate_screen
        assert not seat.screen.modes.mouse
        assert seat.screen.cursor.visible
        assert home.session(box, key)["state"] == "running"


def test_keys_arrive_once_while_the_core_is_killed(home: Home, box: str, chaos_rounds: int) -> None:
    """Numbered lines into ``cat``; detaching works also while no core is there."""
    lines = 2000
    killed: set[int] = set()
    with Seat(
        home, "attach", box, "--", "sh", "-c", "stty -echo; echo ready; cat >/root/typed; echo done"
    ) as seat:
        seat.until("ready")
        for number in range(lines):
            if number % (lines // chaos_rounds) == lines // chaos_rounds // 2:
                kill(home, killed)
            seat.type(b"line %d\r" % number)
        seat.type(b"\x04")
        seat.until("done")
        assert seat.ended() == 0
    assert len(killed) == chaos_rounds
    assert home.do("exec", box, "--", "cat", "/root/typed") == b"".join(
        b"line %d\n" % n for n in range(lines)
    )


def test_a_machine_that_dies_gives_the_terminal_back(home: Home, other: str) -> None:
    with Seat(home, "attach", other) as seat:
        seat.until("#")
        assert not seat.restored()
        home.do("stop", "--force", other)
        assert seat.ended() == 125
        assert seat.restored()
        assert "ended before the program did" in seat.text.replace("\n", "")
    home.do("start", other)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["box", "--detach-keys", "ctrl-5"], "is no key"),
        (["box", "0123", "--", "sh"], "exclude each other"),
        (["--take", "--read-only", "box", "0123"], "exclude each other"),
        (["--take", "box"], "--take is for a session that is there"),
        (["--env", "A=1", "box", "0123"], "--env is for a program that is started"),
        (["box", "--"], "no command was given"),
        (["box"], "needs a terminal"),
    ],
)
def test_what_makes_no_sense_without_a_core(home: Home, arguments: list[str], complaint: str) -> None:
    done = home.run("attach", *arguments)
    assert done.returncode == 125
    assert complaint in done.stderr.decode()


def test_what_cannot_be_attached_to(home: Home, box: str, other: str) -> None:
    ended = home.do("exec", "-d", "-t", box, "--", "true").split()[-1].decode()
    eventually(lambda: home.session(box, ended)["state"] == "exited")
    plain = home.do("exec", "-d", box, "--", "sleep", "1240").split()[-1].decode()
    for name, key, complaint in (
        (box, ended, "has ended"),
        (box, plain, "has no terminal"),
        (box, "feed", "no session feed"),
        (other, plain, f"not of {other} but of {box}"),
        ("nobody", plain, "nobody"),
    ):
        with Seat(home, "attach", name, key) as seat:
            assert seat.ended() == 125
            assert complaint in seat.text.replace("\n", "")
            assert seat.restored()
    home.do("signal", box, plain, "KILL")


def test_exec_on_a_terminal_passes_every_key(home: Home, box: str) -> None:
    program = "stty raw -echo; echo ready; dd bs=1 count=3 2>/dev/null | od -An -tx1; stty size"
    with Seat(home, "exec", "-t", "-i", box, "--", "sh", "-c", program, size=(20, 70)) as seat:
        seat.until("ready")
        seat.type(b"\x03\x1d\x1a")
        seat.until("03 1d 1a")
        seat.until("20 70")
        assert seat.ended() == 0
        assert seat.restored()


SDK = """
import sys
import anyio
from sandtop import Detached, Sandbox

async def main():
    box = await Sandbox.get(sys.argv[1])
    result = await box.attach("sh", env={"PS1": "sdk$"}, cwd="/tmp", detach_keys="ctrl-p,ctrl-q")
    assert isinstance(result, Detached), result
    print("left", flush=True)
    print("ended with", await box.attach_session(result.session))

anyio.run(main, backend=sys.argv[2])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_same_from_python(home: Home, box: str, backend: str) -> None:
    with Seat(home, box, backend, script=SDK, size=(19, 71)) as seat:
        seat.until("sdk$")
        seat.type(b"stty size; pwd; seq 1 40\r")
        seat.until("19 71\n/tmp\n")
        seat.until("40\nsdk$")
        home.kill_core()
        seat.type(b"echo $((6 * 7))\r")
        seat.until("42\nsdk$")
        seat.type(b"\x10\x11")
        seat.until(lambda: "left" in seat.text or seat.restored())
        seat.until(lambda: not seat.restored() and "42\nsdk$" in seat.text)
        seat.resize(23, 64)
        # keys may overtake the news of a size
        seat.type(b"until stty size | grep '23 64'; do sleep 0.1; done; stty -echo; exit 4\r")
        seat.until("\n23 64\n")
        seat.until("ended with 4")
        assert seat.ended() == 0
        assert seat.restored()
