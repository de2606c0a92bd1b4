"""The screen worker: who comes back sees the very same screen, whatever died, and programs are answered once."""

from __future__ import annotations

import json
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


def test_look_and_type(home: Home, box: str) -> None:
    """What shows, as text; keys and lines from a script; and what makes no sense."""
    shell = ("sh", "-c", "PS1='$ ' exec bash --norc")
    key = home.do("exec", "-d", "-t", box, "--", *shell).split()[-1].decode()
    home.do("type", box, key[:6], "--enter", "printf '\\033[31mr\\145d\\033[m \\033]2;t\\151tle\\007\\n'")
    assert b"\nred\n" in home.do("screen", box, key, "--wait-for", "^red$", "--timeout", "60")
    assert b"\n\x1b[0;31mred\x1b[0m\n" in home.do("screen", box, "--ansi")
    shown = json.loads(home.do("screen", box, key, "--json"))
    assert (shown["title"], shown["rows"], shown["session"]["id"]) == ("title", 24, key)
    home.do("type", box, key, "--enter", "seq", "100;", "sleep", "1000")
    assert home.do("screen", box, key, "--wait-for", "^100$").startswith(b"78\n")
    assert b"\n2\n3\n" in home.do("screen", box, key, "--scrollback")
    home.do("type", box, key, "--key", "ctrl-c")
    home.do("screen", box, key, "--wait-for", r"\^C\n\$$")
    late = home.run("screen", box, key, "--wait-for", "never", "--timeout", "0.2")
    assert (late.returncode, late.stdout) == (124, b"")
    home.do("type", box, key, "--enter", "printf '%050d'; cat")
    home.do("screen", box, key, "--wait-for", "0{50}$")
    with Seat(home, "attach", box, key) as seat:
        seat.until("0" * 50)
        refused = home.run("type", box, key, "x")
        assert refused.returncode == 125
        assert f"pid {seat.pid}" in refused.stderr.decode()
        home.do("type", box, key, "--take", "--enter", "t\N{LATIN SMALL LETTER A WITH DIAERESIS}ken")
        seat.until("täken")
        seat.until("took the input over")
    home.do("type", box, key, "--key", "ctrl-d")
    home.do("screen", box, key, "--wait-for", r"\$$")
    home.do("type", box, key, "--key", "left", "--key", "ctrl-d")
    eventually(lambda: home.session(box, key)["state"] == "exited")
    assert "täken" in home.do("screen", box, key).decode()
    plain = home.do("exec", "-d", box, "--", "true").split()[-1].decode()
    for arguments, complaint in (
        (("screen", box, key, "--wait-for", "never"), "has ended"),
        (("screen", box, key, "--wait-for", "("), "no regular expression"),
        (("screen", box, key, "--wait-for", "(0+)+b"), "too long"),
        (("screen", box, plain), "has no terminal"),
        (("type", box, plain, "x"), "has no terminal"),
        (("type", box, key, "x"), "has ended"),
        (("type", box, key, "--key", "ctrl-up-down"), "no key"),
        (("type", box, key), "nothing to type"),
    ):
        done = home.run(*arguments)
        assert done.returncode == 125
        assert complaint in done.stderr.decode()


def test_nobody_who_is_frozen_holds_a_program_back(home: Home, box: str) -> None:
    """A watcher never does, whoever types only for a moment; who wakes up sees what shows, not what it missed."""
    program = f"echo ready; read line; exec yes {'over and ' * 8}"
    with Seat(home, "attach", box, "--", "sh", "-c", program) as seat:
        seat.until("ready")
        key = home.last_session(box)["id"]
        with Seat(home, "attach", "--read-only", box, key) as watcher:
            watcher.until("ready")
            watcher.signal(signal.SIGSTOP)
            seat.type(b"\r")
            seat.until(lambda: seat.screen.scrolled > 20_000)
            seat.signal(signal.SIGSTOP)
            begun = home.session(box, key)["stdout_bytes"]
            eventually(lambda: home.session(box, key)["stdout_bytes"] > begun + (5 << 20), 60)
            seat.signal(signal.SIGCONT)
            before = seat.screen.scrolled
            seat.type(b"\x03")
            assert seat.ended() == 128 + signal.SIGINT
            assert seat.screen.scrolled - before < 30_000
            watcher.signal(signal.SIGCONT)
            assert watcher.ended() == 128 + signal.SIGINT
            assert watcher.screen.scrolled < 30_000
            assert seat.screen.text().startswith("over and over and")
            assert watcher.screen.text().startswith("over and over and")
