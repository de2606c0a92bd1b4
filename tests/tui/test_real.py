"""The console in a real terminal on a real machine: what an operator does from the first start to the last key."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop.core import paths
from sandtop.core.guest import GuestStore

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.vm, pytest.mark.timeout(400)]
PATIENCE = 90.0


class Terminal:
    """A tmux of its own with one window of a size."""

    def __init__(self, folder: Path, name: str, size: str, environment: dict[str, str]) -> None:
        self._tmux = ["tmux", "-S", str(folder / f"tmux-{name}"), "-f", "/dev/null"]
        columns, _, rows = size.partition("x")
        command = f"{shlex.quote(sys.executable)} -m sandtop; echo left=$?; stty -a; exec cat"
        variables = [f"{key}={value}" for key, value in environment.items()]
        self._run("new-session", "-d", "-x", columns, "-y", rows, "env", *variables, "sh", "-c", command)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    @property
    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    def see(self, text: str, *, gone: bool = False) -> None:
        """Wait until ``text`` is on the screen, or with ``gone`` is not any more."""
        deadline = time.monotonic() + PATIENCE
        while (text in (screen := self.screen)) == gone:
            assert time.monotonic() < deadline, f"{text!r} {'stays' if gone else 'does not come'}:\n{screen}"
            time.sleep(0.1)

    def end(self) -> None:
        """SIGTERM to the console, the child of the window's shell."""
        shell = self._run("display-message", "-p", "#{pane_pid}").strip()
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, timeout=30)


class Home:
    """A SANDTOP_HOME of its own, no core yet, with the cache that everybody shares."""

    def __init__(self, folder: Path, built: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "cache").symlink_to(
            built
        )  # a copy would not be sparse: tens of gigabytes with templates in it
        self.environment = {**os.environ, "SANDTOP_HOME": str(folder), "TERM": "xterm-256color"}

    def sandtop(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "sandtop", *arguments]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=120
        )
        return done.stdout

    def kill_core(self) -> None:
        os.kill(int(json.loads(self.sandtop("core", "status", "--json"))["pid"]), signal.SIGKILL)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Home]:
    monkeypatch.delenv("SANDTOP_HOME")  # what set-up built is elsewhere
    built = paths.find()
    GuestStore(built).prepare()
    found = Home(tmp_path / "home", built.cache)
    yield found
    found.sandtop("core", "stop", "--all")


@pytest.fixture
def terminals(home: Home) -> Iterator[tuple[Terminal, Terminal]]:
    small = Terminal(home.folder, "s", "80x24", home.environment)
    large = Terminal(home.folder, "l", "200x50", home.environment)
    yield small, large
    small.close()
    large.close()


def test_from_the_first_start_to_the_last_key(home: Home, terminals: tuple[Terminal, Terminal]) -> None:
    small, large = terminals
    first_sandbox(small)
    large.see("● running")
    logs_split_and_search(small)
    terminal_over_a_dead_core(home, small)
    large.see(
        "hello from the console, whose core died"
    )  # the detail: the screen of the shell that both look at
    text_for_a_shell_that_has_ended(home, small)
    signalled(home, small)
    failure(small)
    page_of_its_own(small)
    large.see("exit 3")
    large.see("needs you", gone=True)  # what one console acknowledges, the core keeps for all
    seen = [one for one in json.loads(home.sandtop("sessions", "box", "--json")) if one["acknowledged"]]
    assert sorted(one["exit_code"] for one in seen) == [3, 137]
    many_at_once(home, small, large)
    large.end()
    large.see("left=143")
    assert " icanon " in large.screen
    remove_and_leave(small)


def first_sandbox(console: Terminal) -> None:
    console.see("No sandboxes yet")
    console.press("c")
    console.see("New sandbox")
    console.press("Enter")
    console.see("● running")


def logs_split_and_search(console: Terminal) -> None:
    console.press("x")
    console.see("Run in box")
    console.type("for i in $(seq 500); do echo tick $i; done; exec sleep 1000")
    console.press("Enter")
    console.see("tick 500")
    console.press("|")
    console.see("▌  box ›")  # the first pane has given the keyboard to the second
    console.press("/")
    console.type("tick 42$")
    console.press("Enter")
    console.see("paused")
    console.see("▌ tick 42\n")
    console.press("C-w")
    console.see("paused", gone=True)
    console.press("q")
    console.see("ATTENTION")


def terminal_over_a_dead_core(home: Home, console: Terminal) -> None:
    console.press("a")
    console.see("▌#\n")
    console.type("vi /tmp/note")
    console.press("Enter")
    console.see("~")
    console.type("ihello from the console")
    console.see("hello from the console")
    home.kill_core()
    console.type(", whose core died")
    console.see("hello from the console, whose core died\n")
    console.press("Escape")
    time.sleep(0.5)  # terminals and vi tell escape from alt by the time that passes
    console.type(":wq")
    console.press("Enter")
    console.see("~\n", gone=True)
    console.type("clear; cat /tmp/note")
    console.press("Enter")
    console.see("hello from the console, whose core died\n")
    console.press("C-]")
    console.see("detached from")
    console.press("A")
    console.see("TITLE")
    console.press("Enter")
    console.see("▶ box › /bin/sh")
    console.see("hello from the console")
    console.type("echo back$((40 + 2))")
    console.press("Enter")
    console.see("back42")
    console.press("C-]")
    console.see("detached from")
    console.press("q")
    console.see("ATTENTION")


def text_for_a_shell_that_has_ended(home: Home, console: Terminal) -> None:
    before = json.loads(home.sandtop("ls", "--json"))
    console.press("a")
    console.see("▌#\n")
    console.type("exit")
    console.press("Enter")
    console.see("○ exit 0")
    console.see("keys are for nobody")
    console.type("sleep 5")
    console.press("Enter")
    console.see("nobody read that: box › /bin/sh has ended. esc: keys are commands again")
    console.see("nobody read that", gone=True)
    console.see("○ exit 0")
    after = json.loads(home.sandtop("ls", "--json"))
    assert [(one["name"], one["state"], one["pid"]) for one in after] == [
        (one["name"], one["state"], one["pid"]) for one in before
    ]
    sessions = json.loads(home.sandtop("sessions", "box", "--json"))
    assert not any("sleep 5" in " ".join(one["argv"]) for one in sessions)
    console.press("Escape")
    console.see("keys are for nobody", gone=True)
    console.press("C-w")
    console.see("○ exit 0", gone=True)
    console.press("q")
    console.see("ATTENTION")


def signalled(home: Home, console: Terminal) -> None:
    console.press("x")
    console.see("Run in box")
    console.type("exec sleep 1001")
    console.press("Enter")
    console.see("no output yet")
    console.press("q")
    console.see("ATTENTION")
    console.press("Enter")
    console.see("exec sleep 1001")
    console.press("C-k")
    console.see("Send a signal to all of")
    console.press("Down", "Down", "Enter")
    console.see("✖ signal 9")
    assert "needs you" not in console.screen
    ended = [one for one in json.loads(home.sandtop("sessions", "box", "--json")) if one["signal"] == 9]
    assert [one["acknowledged"] for one in ended] == [True]
    console.press("q")
    console.see("ATTENTION")


def failure(console: Terminal) -> None:
    console.press("x")
    console.see("Run in box")
    console.type("echo oh no >&2; exit 3")
    console.press("Enter")
    console.see("▌oh no")
    console.see("✖ exit 3")
    console.press("q")
    console.see("needs you")
    console.press("e")  # its log, where it began to write to stderr
    console.see("oh no")
    console.press("o")
    console.see("needs you", gone=True)
    console.see("ATTENTION")  # nobody needs anything any more: it is the list again
    console.press("u")
    console.see("needs you")
    console.press("F")
    console.see("✖ exit 3")
    console.press("o")
    console.see("○ exit 3")
    console.press("q")
    console.see("needs you", gone=True)
    console.see("ATTENTION")


def page_of_its_own(console: Terminal) -> None:
    console.press("d")
    console.see("[processes]")
    console.see("sleep 1000")  # what was started first, by the word of its agent
    console.press("q")
    console.see("ATTENTION")


def many_at_once(home: Home, small: Terminal, large: Terminal) -> None:
    """A command in two, over a dead core: one result, two failures in the timeline, one pane for both logs."""
    small.press("c")
    small.see("New sandbox")
    small.press("Enter")
    small.see("2 running")
    small.press("*")
    small.see("2 marked")
    small.press("x")
    small.see("Run in 2 sandboxes")
    small.type("sleep 5; echo half done >&2; exit 7")
    small.press("Enter")
    small.see("2 … pending")
    home.kill_core()
    small.see("2 ✖ exit 7")
    large.see("exit 7 · half done")
    small.press("q")
    small.see("2 need you")
    small.press("F")
    small.see("half done")
    small.see("oh no")  # acknowledged, and still in the history
    small.press("q")
    small.see("ATTENTION")
    small.press("o")
    small.see("need you", gone=True)
    small.press("l")
    small.press("z")
    small.see("box-2")
    small.see("half done")
    small.press("z")
    small.press("q")
    small.see("ATTENTION")


def remove_and_leave(console: Terminal) -> None:
    console.press("*")
    console.press("C-d")
    console.see("Remove 2 sandboxes?")
    console.press("y")
    console.see("No sandboxes yet")
    console.press("q")
    console.see("q again leaves")
    console.press("q")
    console.see("left=0")
    assert " icanon " in console.screen
    assert " echo " in console.screen
