"""Real terminals: panes of a tmux server of the test's own, side by side."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

from tests.settings import SLOWER

if TYPE_CHECKING:
    from types import TracebackType

    from .conftest import Home

PATIENCE = 60.0 * SLOWER


class Panes:
    """A tmux server with a window for each ``sandtop`` that is started; leaving the context ends it."""

    def __init__(self, home: Home, name: str, size: tuple[int, int] = (24, 80)) -> None:
        self._home = home
        self._name = name
        self._size = size
        self._begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        environment = {key: value for key, value in self._home.environment.items() if key != "TMUX"}
        return subprocess.run(
            ["tmux", "-L", self._name, "-f", os.devnull, *arguments],
            env={**environment, "TERM": "xterm-256color", "LANG": "C.UTF-8"},
            capture_output=True, text=True, check=True, timeout=PATIENCE,
        ).stdout  # fmt: skip

    def open(self, pane: str, *arguments: str) -> None:
        """Run ``sandtop ARGUMENTS`` in a window called ``pane``; anew, if there is one."""
        command = shlex.join([sys.executable, "-m", "sandtop", *arguments])
        if not self._begun:
            self._begun = True
            rows, columns = self._size
            self._tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), "-n", pane, command, ";",
                       "set", "-g", "status", "off", ";", "set", "-g", "remain-on-exit", "on")  # fmt: skip
            self._tmux("resize-window", "-t", pane, "-x", str(columns), "-y", str(rows))
        elif pane in self._tmux("list-windows", "-F", "#{window_name}").split():
            self._tmux("clear-history", "-t", pane, ";", "respawn-pane", "-k", "-t", pane, command)
        else:
            self._tmux("new-window", "-d", "-n", pane, command)

    def type(self, pane: str, text: str) -> None:
        """Type ``text`` as it is."""
        self._tmux("send-keys", "-t", pane, "-l", text)

    def key(self, pane: str, key: str) -> None:
        """Press a key, as tmux names it."""
        self._tmux("send-keys", "-t", pane, key)

    def resize(self, rows: int, columns: int) -> None:
        """Every window."""
        for pane in self._tmux("list-windows", "-F", "#{window_name}").split():
            self._tmux("resize-window", "-t", pane, "-x", str(columns), "-y", str(rows))

    def shown(self, pane: str) -> str:
        """What shows, with its colours, and behind it where the cursor is."""
        return self._tmux("capture-pane", "-p", "-e", "-t", pane) + self._tmux(
            "display-message", "-p", "-t", pane, "#{cursor_x} #{cursor_y} #{cursor_flag} #{alternate_on}"
        )

    def history(self, pane: str) -> str:
        """The same of the scrollback."""
        return self._tmux("capture-pane", "-p", "-e", "-S", "-", "-E", "-1", "-t", pane)

    def until(self, pane: str, text: str) -> None:
        """Wait until ``text`` shows."""
        end = time.monotonic() + PATIENCE
        while text not in (shown := self.shown(pane)):
            assert time.monotonic() < end, f"{text!r} is not in\n{shown}"
            time.sleep(0.05)

    def same(self, one: str, other: str) -> None:
        """Wait until two panes show the same; fails with both when they never do."""
        end = time.monotonic() + PATIENCE
        while (left := self.shown(one)) != (right := self.shown(other)):
            assert time.monotonic() < end, f"{one} shows\n{left}\n{other} shows\n{right}"
            time.sleep(0.05)
