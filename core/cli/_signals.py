"""Signals while a session runs: caught to be passed on, and a way out when passing them on does not help."""

from __future__ import annotations

import os

from sandtop.core.cli import Interrupted

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType
    from typing import Final
else:
    import _signal as signal  # signal itself spends 3 ms on turning constants into enums

_CAUGHT: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_ENOUGH: Final = 3
"""The so-manieth signal ends sandtop itself."""


class Signals:
    """Catches the signals that would end this process. Used as a context; ignored ones stay ignored.

    Until `forward` is called each raises `Interrupted` at once. Afterwards they are collected for `take`, and
    only the third raises.

    Attributes:
        fd: readable when a signal has come.
    """

    __slots__ = ("_before", "_collected", "_count", "_forwarding", "_quiet", "_write", "fd")

    def __init__(self) -> None:
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        self._collected: list[int] = []
        self._count = 0
        self._forwarding = False
        self._quiet = False
        self.fd, self._write = os.pipe()

    def __enter__(self) -> Signals:
        os.set_blocking(self._write, False)
        os.set_blocking(self.fd, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in _CAUGHT:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a shell's background job
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
        self._count += 1
        if not self._forwarding or self._count >= _ENOUGH:
            raise Interrupted(number)
        self._collected.append(number)

    def forward(self) -> None:
        """From now on collect them."""
        self._forwarding = True

    def hold(self) -> None:
        """From now on take no notice: what runs now must finish."""
        self._quiet = True

    def take(self) -> list[int]:
        """Those that came since the last call."""
        try:  # noqa: SIM105 - contextlib is not needed otherwise
            os.read(self.fd, 4096)
        except BlockingIOError:
            pass
        taken, self._collected = self._collected, []
        return taken
