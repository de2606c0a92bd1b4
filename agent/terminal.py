"""Pseudo-terminals."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final

    from .users import User

_TIOCGPTN: Final = 0x80045430  # asm-generic/ioctls.h; not in termios
_TIOCSPTLCK: Final = 0x40045431
_TTY_GROUP: Final = 5


class Terminal:
    """The master side of a new pseudo-terminal. Raises OSError when none can be made.

    The agent keeps the slave side open too. Otherwise, as soon as the program has closed it, the master would report a
    hang-up all the time, though the program may open it again as ``/dev/tty``.
    """

    __slots__ = ("_slave", "device", "master", "path")

    def __init__(self, size: tuple[int, int], owner: User) -> None:
        self._slave = -1
        self.device = 0
        self.master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            (number,) = struct.unpack("i", fcntl.ioctl(self.master, _TIOCGPTN, bytes(4)))
            fcntl.ioctl(self.master, _TIOCSPTLCK, bytes(4))
            self.path = f"/dev/pts/{number}"
            self._slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            self.device = os.fstat(self._slave).st_rdev
            os.fchown(self._slave, owner.uid, _TTY_GROUP)
            self.resize(size)
        except OSError:
            self.close()
            raise

    def resize(self, size: tuple[int, int]) -> None:
        """Set rows and columns; the kernel sends SIGWINCH to the foreground processes."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

    def foreground(self) -> int:
        """The foreground process group; 0 when there is none."""
        (group,) = struct.unpack("i", fcntl.ioctl(self.master, termios.TIOCGPGRP, bytes(4)))
        return int(group)

    def close(self) -> None:
        """Hang up."""
        for fd in (self._slave, self.master):
            if fd >= 0:
                os.close(fd)
