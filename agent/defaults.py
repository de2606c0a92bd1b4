"""A sandbox's settings for all its sessions, from the core's ``configure``."""

from __future__ import annotations

import os

from .wire import values
from .wire.limits import LEAST_WINDOW, MOST_WINDOW, PIPE_WINDOW, TTY_WINDOW

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from .users import User

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TERM: Final = "xterm-256color"


class Defaults:
    """The settings of one sandbox.

    Attributes:
        workdir: an absolute path.
        window: bytes of output that may be unacknowledged, for each stream of a session on pipes.
        tty_window: the same, for a session on a terminal.
    """

    __slots__ = ("env", "hostname", "tty_window", "user", "window", "workdir")

    def __init__(self, message: Mapping[str, object]) -> None:
        """Raises InvalidMessage."""
        self.env = values.environment(message, "env")
        self.hostname = values.optional_text(message, "hostname")
        self.workdir = os.path.join("/", values.optional_text(message, "workdir") or "")
        self.user = values.optional_text(message, "user") or "root"
        self.window = _window(message, "window", PIPE_WINDOW)
        self.tty_window = _window(message, "tty_window", TTY_WINDOW)

    def environment(self, user: User, own: Mapping[str, str], *, terminal: bool) -> dict[str, str]:
        """The environment of a program that ``user`` runs. Variables in ``own`` replace those of the same name."""
        base = {"PATH": PATH, "HOME": user.home, "USER": user.name, "LOGNAME": user.name}
        if self.hostname is not None:
            base["HOSTNAME"] = self.hostname
        if terminal:
            base["TERM"] = _TERM
        return {**base, **self.env, **own}


def _window(message: Mapping[str, object], field: str, default: int) -> int:
    if message.get(field) is None:
        return default
    return values.integer(message, field, LEAST_WINDOW, MOST_WINDOW)
