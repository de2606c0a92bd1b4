"""The screen worker: who comes back sees the very same screen, whatever died, and programs are answered once."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from .conftest import eventually
from .seat import Seat
from .test_attach import PROMPT, leave

if TYPE_CHECKING:
    from .conftest import Home


def worker_pid(home: Home) -> int | None:
    """The screen worker of the core that runs; None while there is none."""
    core = home.core_pid()
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes() if folder.name.isdecimal() else b""
            if b"sandtop.core.screens" in command:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == core:
                    return int(folder.name)
        except OSError:
            continue  # it has just ended
    return None


def kill_worker(home: Home) -> None:
    eventually(lambda: worker_pid(home) is not None)
    pid = worker_pid(home)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: worker_pid(home) not in (None, pid))


def test_back_on_the_same_screen(home: Home, box: str) -> None:
    with Seat(home, "attach", "-e", f"PS1={PROMPT}", box) as seat:
        seat.until(PROMPT)
        key = home.last_session(box)["id"]
        seat.type(
            b"for i in $(seq 300); do printf '\\033[3%dmline %d\\033[m \\346\\274\\242\\n' $((i % 8)) $i; done\r"
        )
        seat.until(f"line 300 漢\n{PROMPT}")
        state = seat.screen.state()
        leave(seat)
    for kill in (lambda: None, lambda: kill_worker(home), home.kill_core):
        kill()
        with Seat(home, "attach", box, key) as seat:
            seat.until(lambda: seat.screen.state() == state)
            leave(seat)
    with Seat(home, "attach", box, key, size=(30, 60)) as seat:  # another window; and a program that fills it
        seat.until(f"line 300 漢\n{PROMPT}")
        seat.type(b"less -N /etc/services\r")
        seat.until(lambda: seat.screen.modes.alternate_screen and "/etc/services" in seat.screen.text())
        seat.type(b"\x1b[6~")
        seat.until(lambda: "     30 " in seat.screen.text() and seat.screen.text().endswith("\n:"))
        state = seat.screen.state()
        leave(seat)
    kill_worker(home)
    with Seat(home, "attach", box, key, size=(30, 60)) as seat:
        seat.until(lambda: seat.screen.state() == state)
        seat.type(b"q")
        seat.until(lambda: not seat.screen.modes.alternate_screen)
        seat.type(b"exit\r")
        assert seat.ended() == 0


def test_a_program_that_nobody_attends_to_is_answered_once(home: Home, box: str) -> None:
    """It asks its terminal where the cursor is, again and again, while the worker is killed; then the core is."""
    program = (
        'stty raw -echo; i=0; while [ $i -lt 12 ]; do i=$((i + 1)); printf "\\033[$i;5H\\033[6n"; '
        "dd bs=1 count=$((5 + ${#i})) 2>/dev/null >>/root/answers; sleep 0.3; done; "
        "dd bs=1 count=1 2>/dev/null | od -c; echo over"
    )
    home.do("exec", box, "--", "rm", "-f", "/root/answers")
    key = home.do("exec", "-d", "-t", box, "--", "sh", "-c", program).split()[-1].decode()
    eventually(lambda: home.session(box, key)["stdin_bytes"] > 10)
    kill_worker(home)
    eventually(lambda: home.session(box, key)["stdin_bytes"] > 30)
    answers = b"".join(b"\x1b[%d;5R" % row for row in range(1, 13))
    eventually(lambda: home.session(box, key)["stdin_bytes"] >= len(answers))
    home.kill_core()  # the next worker reads it all again
    with Seat(home, "attach", box, key) as seat:
        seat.type(b"!")
        seat.until("over")
        assert re.search(r"0000000 +!", seat.text)
        assert seat.ended() == 0
    assert home.do("exec", box, "--", "cat", "/root/answers") == answers
