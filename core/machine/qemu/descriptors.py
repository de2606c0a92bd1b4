"""The open descriptors that QEMU inherits: files opened and Unix sockets bound before it is started."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import TYPE_CHECKING, Final, Self

from sandtop.core.errors import MachineError, StorageError, from_os_error
from sandtop.core.machine.qemu.commandline import Role
from sandtop.core.machine.qemu.firewall import frame_sockets
from sandtop.core.paths import ensure_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

SOCKET_PATH_BYTES: Final = 108
"""The kernel's sun_path, with its closing zero (unix(7))."""

_REOPENED: Final = (Role.KERNEL, Role.INITRAMFS)
"""QEMU opens these anew, through /proc/self/fd: the file's own mode counts then."""


class Descriptors:
    """Opens what QEMU needs; a context manager that closes our copies, which a started QEMU does not mind."""

    def __init__(self, paths: Mapping[Role, Path | None], name: str, *, reader: int | None) -> None:
        """Open and bind everything in ``paths``.

        ``name`` is the sandbox's, for errors. ``reader`` is the uid that QEMU will have, None for our own. Raises
        `StorageError` for what cannot be opened or bound; nothing stays open then.
        """
        self.numbers: dict[Role, int] = {}
        try:
            if any(role.is_end for role in paths):
                self._make_pair(name)
            for role, path in paths.items():
                if path is None:
                    continue
                self.numbers[role] = _bind(path, name) if role.is_socket else _open(role, path, name)
                if role in _REOPENED and reader is not None:
                    _check_readable(self.numbers[role], role, path, name)
        except BaseException:
            self.close()
            raise

    def _make_pair(self, name: str) -> None:
        try:
            device, network = frame_sockets()
        except OSError as error:
            raise from_os_error(error, "cannot make the sockets of the network", sandbox=name) from error
        self.numbers |= {Role.DEVICE_FRAMES: device.detach(), Role.NETWORK_FRAMES: network.detach()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close our copies."""
        while self.numbers:
            os.close(self.numbers.popitem()[1])


def _open(role: Role, path: Path, name: str) -> int:
    flags = os.O_RDWR if role.is_writable else os.O_RDONLY
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(error, f"cannot open the {role.value}", sandbox=name) from error


def _check_readable(descriptor: int, role: Role, path: Path, name: str) -> None:
    if not os.fstat(descriptor).st_mode & stat.S_IROTH:
        raise MachineError(
            f"the {role.value} {path} cannot be read by the machine's own user",
            sandbox=name,
            hint=f"chmod o+r {path}",
        )


def _bind(path: Path, name: str) -> int:
    """A listening Unix socket at ``path``, mode 0600."""
    if len(os.fsencode(path)) >= SOCKET_PATH_BYTES:
        raise StorageError(
            f"the socket path {path} is too long",
            sandbox=name,
            hint="set XDG_RUNTIME_DIR to a directory with a short name",
        )
    ensure_private(path.parent)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            # the mode that bind gives the file, rather than one to be corrected a moment later
            os.fchmod(listener.fileno(), 0o600)
            listener.bind(os.fsencode(path))
            listener.listen(1)
        except OSError as error:
            raise from_os_error(error, f"cannot make the socket {path}", sandbox=name) from error
        return listener.detach()


def remove_runtime(runtime: Path) -> None:
    """Remove a machine's sockets and their folder; other things in it stay, and so does the folder then.

    Raises `StorageError`.
    """
    try:
        for role in Role:
            if role.is_socket:
                (runtime / role.value).unlink(missing_ok=True)
        runtime.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            return
        raise from_os_error(error, f"cannot remove {runtime}") from error
