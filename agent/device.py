"""The virtio-serial port as a device of this machine: finding it, opening it, and restarting its driver."""

from __future__ import annotations

import os

from .wire import PORT_NAME

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final

_CLASS: Final = "/sys/class/virtio-ports"
_DRIVER: Final = "sys/bus/virtio/drivers/virtio_console"
_OPEN: Final = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC


class Device:
    """The agent's port. Raises OSError when there is none.

    ``root`` is a descriptor of the root outside the sandbox, which is still the process's own when this is called. The
    port is opened by way of it later, so nothing that is done to the sandbox's /dev and /sys matters.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._file = _find()
        self._virtio = os.path.basename(os.path.realpath(f"{_CLASS}/{self._file}/device"))

    def open(self) -> int:
        """A nonblocking descriptor of the port. Raises OSError when it is not there, or open already."""
        return os.open(f"dev/{self._file}", _OPEN, dir_fd=self._root)

    def restart(self) -> None:
        """Unbind the driver and bind it again, which empties its queues. Nobody may have the port open. Raises OSError.

        The port's device file vanishes and appears again some time later.
        """
        for step in ("unbind", "bind"):
            fd = os.open(f"{_DRIVER}/{step}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._root)
            try:
                os.write(fd, self._virtio.encode())
            finally:
                os.close(fd)


def _find() -> str:
    """The port's file in /dev. Raises OSError when there is none."""
    for entry in sorted(os.listdir(_CLASS)):
        with open(f"{_CLASS}/{entry}/name") as file:
            if file.read().strip() == PORT_NAME:
                return entry
    raise FileNotFoundError(f"no virtio-serial port is called {PORT_NAME}")
