"""Two terminals on one session show the same, though one of them stayed and the other has just come back."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from .conftest import eventually
from .panes import Panes
from .test_screens import kill_worker

if TYPE_CHECKING:
    from .conftest import Home

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

FRAMES = r"""
import shutil, sys
out = sys.stdout
columns, rows = shutil.get_terminal_size()
out.write("\x1b[?1049h\x1b[?25l")
for frame in range(40):
    out.write("\x1b[H")
    for row in range(rows - 1):
        out.write("".join(f"\x1b[{30 + (row + column + frame) % 8};{40 + frame % 8}m{(row * column + frame) % 10}"
                          for column in range(columns)) + "\x1b[m\r\n")
    out.write(f"\x1b[1mframe {frame}\x1b[m\x1b[K")
out.flush()
input()
out.write("\x1b[?1049l\x1b[?25h")
"""
NUMBERS = "for i in $(seq 200); do printf '\\033[3%dm%d \\346\\274\\242\\033[m\\n' $((i % 8)) $i; done"


def test_who_stays_and_who_returns_see_the_same(home: Home, box: str, chaos_rounds: int) -> None:
    lines = 20_000 * chaos_rounds
    home.do("exec", "-i", box, "--", "sh", "-c", "cat >/root/frames.py", stdin=FRAMES.encode())
    with Panes(home, f"sandtop-{home.path.name}") as panes:
        panes.open("stays", "attach", "-e", "PS1=sh$", box, "--", "sh")
        panes.until("stays", "sh$")
        key = home.last_session(box)["id"]

        def back() -> None:
            panes.open("returns", "attach", "--read-only", box, key)
            panes.same("stays", "returns")

        def run(line: str, sign: str) -> None:
            panes.type("stays", line + "\n")
            panes.until("stays", sign)

        def alternate(*, on: bool) -> None:
            eventually(lambda: panes.shown("stays").endswith(f" {int(on)}\n"))

        run(NUMBERS, "200 漢")
        back()
        assert panes.history("stays") == panes.history("returns")
        kill_worker(home)
        back()
        assert panes.history("stays") == panes.history("returns")
        run("less -N /etc/services", "      1 ")
        panes.key("stays", "PageDown")
        panes.until("stays", "     40 ")
        panes.same("stays", "returns")  # live
        back()
        panes.resize(30, 100)
        eventually(lambda: len(panes.shown("stays").splitlines()) == 31)
        back()
        panes.type("stays", "q")
        alternate(on=False)
        run("python3 /root/frames.py", "frame 39")
        back()
        home.kill_core()
        back()
        panes.resize(20, 70)
        panes.key("stays", "Enter")
        alternate(on=False)
        run("stty size", "20 70")
        back()
        panes.type("stays", "vi /etc/services\n")
        alternate(on=True)
        panes.until("stays", " lines,")
        back()
        panes.type("stays", ":q!\n")
        alternate(on=False)
        run(f"seq {lines}; echo o''ver", "over\n")
        back()
        panes.type("stays", "exit\n")
        eventually(lambda: home.session(box, key)["state"] == "exited")
