"""This process's own terminal while it shows a program's: raw, its size watched, and put back whatever happens."""

from __future__ import annotations

import os
import re
import select
import signal
import termios
import time
import tty

from sandtop.core.errors import InvalidRequest

from .leftovers import Leftovers
from .nonblocking import SharedOutput

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Final

INPUT: Final = 0
OUTPUT: Final = 1
_SIGNALS: Final = (signal.SIGWINCH, signal.SIGCONT)
WRITE_SECONDS: Final = 0.5
"""How long a terminal may take what makes it as usual again."""
ANSWER_SECONDS: Final = 0.5
"""How long one that does not answer is waited for: more than a round trip around the world."""
QUIET_SECONDS: Final = 0.1
_WHO: Final = b"\x1b[c"
_IDENTITY: Final = re.compile(rb"(?:\x1b\[|\xc2?\x9b)\?[0-9;]*c")
"""DA1's answer."""
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

    Signals are watched only in the main thread, where Python allows it; elsewhere the size stays as it was. Whatever
    state the terminal is in, the end takes no longer than `WRITE_SECONDS` and `ANSWER_SECONDS` together.

    Attributes:
        fd: readable when `changed` should be asked.
    """

    __slots__ = ("_before", "_handlers", "_leftovers", "_write", "fd")

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        """``allowed`` are kinds of `refusals.KINDS` that the program may use. Raises `InvalidRequest` when there is no
        terminal.
        """
        if not (os.isatty(INPUT) and os.isatty(OUTPUT)):
            raise InvalidRequest(
                "attaching needs a terminal, and stdin or stdout is none",
                hint="in a script: sandtop exec -i, sandtop logs -f",
            )
        self._leftovers = Leftovers(allowed, term=os.environ.get("TERM", ""))
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
        # not TCSADRAIN: what was written before may never leave a terminal that was stopped
        tty.setraw(INPUT, termios.TCSANOW)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        os.close(self.fd)
        os.close(self._write)
        if not _in_foreground():  # it is the shell's again, which has put it back; to touch it would stop us
            return
        try:
            self._settle()
        except OSError:
            pass  # it is gone
        finally:
            self._restore()

    def _settle(self) -> None:
        """Make the terminal as usual, and take what it has yet to answer: the shell would run that as typed."""
        output = SharedOutput(OUTPUT)
        try:
            question, answer = unique_question()
            asks = self._leftovers.asked
            end = self._leftovers.undo(self._columns(), question if asks else b"") + (_WHO if asks else b"")
            if not output.write_within(end, WRITE_SECONDS / 2):
                # nobody reads; what waits in the kernel is the program's, and this is to be what comes next
                output.discard()
                if not output.write_within(end, WRITE_SECONDS / 2):
                    return
            if asks:
                drain(INPUT, answer, ANSWER_SECONDS)
        finally:
            output.close()

    def _columns(self) -> int:
        try:
            return self.size()[1]
        except OSError:
            return 80

    def _restore(self) -> None:
        """Its own modes. As TCSAFLUSH, which would wait first until all is written: that may never be."""
        try:
            if self._leftovers.asked:
                termios.tcflush(INPUT, termios.TCIFLUSH)
            termios.tcsetattr(INPUT, termios.TCSANOW, self._before)  # type: ignore[arg-type]
        except termios.error:
            return  # it is gone

    def _notice(self, number: int, frame: FrameType | None) -> None:
        try:
            if number == signal.SIGCONT:  # the shell that stopped us has made it cooked
                tty.setraw(INPUT, termios.TCSANOW)
            os.write(self._write, b"\0")
        except (BlockingIOError, termios.error):
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

    def passed(self, data: bytes) -> bytes:
        """What of ``data``, which the program wrote next, may be written to the terminal."""
        return self._leftovers.feed(data)

    @property
    def midway(self) -> bool:
        """Whether what was written ends within a string: nothing of others may come in between."""
        return self._leftovers.gate.midway

    def entitle(self, title: str) -> bytes:
        """What to write to call the window ``title``; it gets its own back in the end."""
        return self._leftovers.entitle(title)


def _in_foreground() -> bool:
    """Whether the terminal is ours to change: who is in the background and tries is stopped (SIGTTOU)."""
    try:
        return os.tcgetpgrp(INPUT) == os.getpgrp()
    except OSError:
        return True  # not our controlling terminal: nothing stops us


def unique_question() -> tuple[bytes, bytes]:
    """A question that nobody else asks, and its answer: DECRQM for a mode that no terminal has.

    DA1 comes after it, which every terminal answers: answers come in the order of the questions, but a program may have
    asked for DA1 itself.
    """
    number = 20000 + int.from_bytes(os.urandom(2), "big") % 10000
    return b"\x1b[?%d$p" % number, b"\x1b[?%d;" % number


def drain(fd: int, answer: bytes, seconds: float) -> None:
    """Take what comes from ``fd`` until ``answer`` and DA1's behind it came, or quiet, or ``seconds`` are over."""
    waiter = select.poll()
    waiter.register(fd, select.POLLIN)
    until = time.monotonic() + seconds
    seen = b""
    while (left := until - time.monotonic()) > 0:
        # a terminal without DECRQM leaves only DA1's, which may be that of the program's own question
        quiet = QUIET_SECONDS if _IDENTITY.search(seen) else left
        if not waiter.poll(min(left, quiet) * 1000):
            return
        data = os.read(fd, 4096)
        if not data:
            return
        seen = seen[-256:] + data
        at = seen.find(answer)
        if at >= 0 and _IDENTITY.search(seen, at):
            return


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
