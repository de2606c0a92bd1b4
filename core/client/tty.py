"""This process's own terminal while it shows a program's: raw, its size watched, and put back whatever happens."""

from __future__ import annotations

import os
import signal
import termios
import tty

from sandtop.core.errors import InvalidRequest

from .leftovers import Leftovers

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Final

INPUT: Final = 0
OUTPUT: Final = 1
_SIGNALS: Final = (signal.SIGWINCH, signal.SIGCONT)
_PUSH_TITLE: Final = b"\x1b[22;2t"
_POP_TITLE: Final = b"\x1b[23;2t"
_KNOWN: Final = frozenset(
    {
        "ansi", "dumb", "linux", "rxvt", "rxvt-unicode", "rxvt-unicode-256color", "screen", "screen-256color",
        "tmux", "tmux-256color", "vt100", "vt102", "vt220", "xterm", "xterm-256color",
    }
)  # fmt: skip
"""Terminals that the terminfo of a small system knows; all others of today take xterm's sequences."""
_FALLBACK: Final = "xterm-256color"


class OwnTerminal:
    """Standard input and output, both the terminal of whoever runs this. A context that makes it raw.

    Signals are watched only in the main thread, where Python allows it; elsewhere the size stays as it was.

    Attributes:
        fd: readable when `changed` should be asked.
    """

    __slots__ = ("_before", "_entitled", "_handlers", "_leftovers", "_write", "fd")

    def __init__(self) -> None:
        """Raises `InvalidRequest` when there is no terminal."""
        if not (os.isatty(INPUT) and os.isatty(OUTPUT)):
            raise InvalidRequest(
                "attaching needs a terminal, and stdin or stdout is none",
                hint="in a script: sandtop exec -i, sandtop logs -f",
            )
        self._leftovers = Leftovers()
        self._entitled = False
        self._handlers: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        self._before: list[object] = []
        self.fd = self._write = -1

    def __enter__(self) -> OwnTerminal:
        self.fd, self._write = os.pipe()
        os.set_blocking(self._write, False)
        os.set_blocking(self.fd, False)
        self._before = list(termios.tcgetattr(INPUT))
        try:
            for number in _SIGNALS:
                self._handlers[number] = signal.signal(number, self._notice)
        except ValueError:
            pass  # not the main thread
        tty.setraw(INPUT, termios.TCSADRAIN)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        # first what cannot block: a terminal that was stopped, or hung up, must not keep us
        for action in (self._restore_modes, self._undo, self._close):
            try:
                action()
            except (OSError, termios.error):
                continue  # it is gone

    def _restore_modes(self) -> None:
        termios.tcsetattr(INPUT, termios.TCSANOW, self._before)  # type: ignore[arg-type]

    def _undo(self) -> None:
        undo = self._leftovers.undo() + (_POP_TITLE if self._entitled else b"")
        if undo:
            os.write(OUTPUT, undo)

    def _close(self) -> None:
        os.close(self.fd)
        os.close(self._write)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGCONT:  # the shell that stopped us has made it cooked
            tty.setraw(INPUT, termios.TCSANOW)
        try:
            os.write(self._write, b"\0")
        except BlockingIOError:
            return

    def changed(self) -> bool:
        """Whether the size may have changed since the last call."""
        try:
            return bool(os.read(self.fd, 4096))
        except BlockingIOError:
            return False

    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        size = os.get_terminal_size(OUTPUT)
        return size.lines or 24, size.columns or 80

    def shown(self, data: bytes) -> None:
        """``data`` goes to the terminal: remember what will have to be undone."""
        self._leftovers.feed(data)

    @property
    def midway(self) -> bool:
        """Whether what was shown ends within a sequence or a character."""
        return self._leftovers.midway

    def entitle(self, title: str) -> bytes:
        """What to write to call the window ``title``; it gets its own back in the end."""
        push = b"" if self._entitled else _PUSH_TITLE
        self._entitled = True
        return push + b"\x1b]2;" + title.encode("utf-8", "replace") + b"\x1b\\"


def environment() -> dict[str, str]:
    """What a program on this terminal should know of it: its type, and that it takes UTF-8."""
    name = os.environ.get("TERM", "")
    found = {"TERM": name if name in _KNOWN else _FALLBACK}
    if colors := os.environ.get("COLORTERM"):
        found["COLORTERM"] = colors
    locale = next((text for key in ("LC_ALL", "LC_CTYPE", "LANG") if (text := os.environ.get(key))), "")
    if "utf" in locale.lower():
        found["LANG"] = "C.UTF-8"  # the one such locale that every system has
    return found


def label() -> str:
    """What this client is called where people read who holds a session's input."""
    try:
        name = os.ttyname(INPUT).removeprefix("/dev/")
    except OSError:
        name = "a terminal"
    return f"{name} (pid {os.getpid()})"
