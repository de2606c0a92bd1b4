"""Signals to this process while it follows a session: they are passed on, until the operator insists on ending it."""

from __future__ import annotations

import os

from sandtop.core.cli import Interrupted, hurry

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType
    from typing import Final
else:
    import _signal as signal  # signal itself spends 3 ms on turning constants into enums

_CAUGHT: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that are sent to this process on purpose. The others come from keys, and are meant for the program."""
_SIGNALS_TO_END: Final = 3
"""How many signals, of whichever kind, end this process itself and not only the program."""
_ENDINGS_TO_END: Final = 2
"""How many of `ENDING` end this process itself."""


class Signals:
    """Catches the signals that would end this process. Used as a context; a signal that was ignored stays ignored.

    Before `forward` each signal raises `Interrupted` at once. After it they are collected, and `take` returns them.
    Only the second SIGTERM or SIGHUP, or the third signal of any kind, raises then; later ones are ignored, so that
    the clean-up that follows is not cut short.

    Attributes:
        fd: readable when a signal has come.
    """

    __slots__ = ("_before", "_collected", "_count", "_ending", "_forwarding", "_quiet", "_write", "fd")

    def __init__(self) -> None:
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        self._collected: list[int] = []
        self._count = self._ending = 0
        self._forwarding = False
        self._quiet = False
        self.fd, self._write = os.pipe()

    def __enter__(self) -> Signals:
        os.set_blocking(self._write, False)
        os.set_blocking(self.fd, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in _CAUGHT:
            if signal.getsignal(number) != signal.SIG_IGN:  # ignored under nohup, and in background jobs
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self.fd)
        os.close(self._write)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._quiet:
            return
        hurry()
        self._count += 1
        self._ending += number in ENDING
        if not self._forwarding:
            raise Interrupted(number)
        if self._count >= _SIGNALS_TO_END or self._ending >= _ENDINGS_TO_END:
            self._quiet = True
            raise Interrupted(number)
        self._collected.append(number)

    def forward(self) -> None:
        """From now on collect signals for `take`."""
        self._forwarding = True

    def breaking(self) -> Breaking:
        """A context for calls that wait: each signal in it, or collected before, raises `Interrupted` at once."""
        return Breaking(self)

    def break_now(self, breaking: bool) -> None:
        """Enter or leave `breaking`."""
        self._forwarding = not breaking
        if breaking and self._collected:
            raise Interrupted(self._collected[0])

    def hold(self) -> None:
        """From now on ignore signals: what is done now must finish."""
        self._quiet = True

    def take(self) -> list[int]:
        """The signals that have come since the last call."""
        try:  # noqa: SIM105 - contextlib is not needed otherwise
            os.read(self.fd, 4096)
        except BlockingIOError:
            pass
        taken, self._collected = self._collected, []
        return taken


class Breaking:
    """See `Signals.breaking`."""

    __slots__ = ("_signals",)

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    def __enter__(self) -> None:
        self._signals.break_now(True)

    def __exit__(self, *_: object) -> None:
        self._signals.break_now(False)
