"""Textual's driver for the operator's terminal, made so that the console never waits for that terminal.

Textual's own driver hands output to a thread through a short queue. When the queue is full it waits, and at the end it
waits for its threads: for ever, if the terminal takes no output or is gone.
"""

from __future__ import annotations

import os
import select
import signal
import termios
import time
from codecs import getincrementaldecoder
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from .writer import Writer

if TYPE_CHECKING:
    from textual.app import App

    from ..app import Console

CLOGGED_BYTES: Final = 64 * 1024
"""Bytes that may wait for the terminal. While more wait no frame is made, since it would be shown when it is old."""
_DRAIN_SECONDS: Final = 0.5
"""How long the console's end waits for the terminal to take what waits for it."""
_JOIN_SECONDS: Final = 0.5
"""How long the console's end waits for the thread that reads keys."""
_PIECE_SECONDS: Final = 0.1
"""How long it waits for a write that is under way, when what waits is thrown away."""
_READ: Final = 4096
_TICK_MILLISECONDS: Final = 100
"""How often the parser is asked whether an escape that came alone was the escape key."""
_RESTORE: Final = (
    "\x18\x1b\\"  # ends a sequence that was cut off
    "\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"
    "\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l\x1b[0m"
)
"""Switches off the modes that `LinuxDriver` switches on, in its order."""


class TerminalDriver(LinuxDriver):
    """Textual's driver with a `Writer`; it tells `Shutdown` when the terminal is gone."""

    def __init__(
        self,
        app: App[object],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)  # pyright: ignore[reportUnknownMemberType]
        self._size = size or self._get_terminal_size()
        self._console = cast("Console", app)
        self._writer: Writer | None = None
        self._reading_ends = _event()
        self._written = _event()
        self._output = _own_descriptor(self.fileno)
        if self._console.shutdown is not None:
            self._console.shutdown.restore = self.restore_now

    def _get_terminal_size(self) -> tuple[int, int]:
        """Columns and rows as the terminal has them now.

        Textual believes the variables COLUMNS and LINES first, which a shell or a test runner exported for another
        terminal, or for this one before it had another size.
        """
        with suppress(OSError):
            size = os.get_terminal_size(self.fileno)
            if size.columns and size.lines:
                return size.columns, size.lines
        return super()._get_terminal_size()

    # output

    @property
    def clogged(self) -> bool:
        """Whether so much waits for the terminal that a frame is to be left out.

        If so, the console is told to draw everything once the terminal has taken what waits.
        """
        writer = self._writer
        if writer is None or writer.backlog < CLOGGED_BYTES:
            return False
        writer.wants_repaint = True
        if writer.backlog == 0:  # it has drained just now, perhaps before it could see `wants_repaint`
            writer.wants_repaint = False
            return False
        return True

    def write(self, data: str) -> None:
        writer = self._writer
        if writer is not None:
            writer.write(data)

    def start_application_mode(self) -> None:
        self._writer = Writer(self._output, self._written, self._hung_up, self._drained)
        self._writer.start()
        super().start_application_mode()  # type: ignore[no-untyped-call]
        thread, self._writer_thread = self._writer_thread, None
        if thread is not None:
            thread.stop()  # Textual's own thread, which has nothing to write

    def _drained(self) -> None:
        with suppress(RuntimeError):  # the console's event loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._console.repaint)

    def stop_application_mode(self) -> None:
        if not self._in_foreground():
            self.attrs_before = None  # a process in the background that sets them is stopped (SIGTTOU)
        super().stop_application_mode()

    def close(self) -> None:
        if self._writer is not None and not self._writer.finish(_DRAIN_SECONDS):
            self.restore_now()
        self._writer = None

    def restore_now(self) -> None:
        """Put the terminal's modes back, as far as that is possible without waiting; throw away what waits for it."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abandon(_PIECE_SECONDS)
        if not self._in_foreground():
            return
        with suppress(termios.error, OSError):
            termios.tcflush(self._output, termios.TCOFLUSH)
            if self.attrs_before is not None:
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
        poll = select.poll()
        poll.register(self._output, select.POLLOUT)
        if poll.poll(0):
            with suppress(OSError):
                os.write(self._output, _RESTORE.encode())

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self.fileno) == os.getpgrp()
        except OSError:
            return False  # the terminal is gone

    # input

    def disable_input(self) -> None:
        thread, self._key_thread = self._key_thread, None
        if thread is None:
            return
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        self._disable_mouse_support()
        self.exit_event.set()
        os.eventfd_write(self._reading_ends, 1)
        thread.join(_JOIN_SECONDS)
        self.exit_event.clear()
        with suppress(BlockingIOError):
            os.eventfd_read(self._reading_ends)
        if self._in_foreground():
            with suppress(termios.error):
                termios.tcflush(self.fileno, termios.TCIFLUSH)

    def run_input_thread(self) -> None:
        """Read keys until the console ends or the terminal is gone."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        poll = select.poll()
        poll.register(self.fileno, select.POLLIN)
        poll.register(self._reading_ends, select.POLLIN)
        while not self.exit_event.is_set():
            mask = dict(poll.poll(_TICK_MILLISECONDS)).get(self.fileno, 0)
            data = self._read() if mask else b""
            if mask and not data and (not mask & select.POLLIN or self._is_gone(mask)):
                self._hung_up()
                break
            for event in parser.feed(decode(data)) if data else ():
                self.process_message(event)
            for event in parser.tick():
                self.process_message(event)
        with suppress(EOFError, ParseError):
            list(parser.feed(""))

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, _READ)
        except OSError:
            return b""

    def _is_gone(self, mask: int) -> bool:
        """Whether the terminal is gone. An end of file alone does not tell: ctrl-d may give one, too."""
        try:
            termios.tcgetattr(self.fileno)
        except termios.error:
            return True
        if not mask & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            time.sleep(_TICK_MILLISECONDS / 1000)
            return False
        return True

    def _hung_up(self) -> None:
        if self._console.shutdown is not None:
            self._console.shutdown.lost_terminal()


def _event() -> int:
    """An eventfd, to wake a thread out of its poll without taking a lock. It stays open until the process ends."""
    return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


def _own_descriptor(descriptor: int) -> int:
    """The terminal of ``descriptor``, opened once more with O_NONBLOCK.

    That flag belongs to the open file, which the console shares with its shell, so it cannot be set on ``descriptor``.
    A terminal that cannot be opened (it is another user's) is used as it is: then the writer's thread waits, alone.
    """
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return os.dup(descriptor)
