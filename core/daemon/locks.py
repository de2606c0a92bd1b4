"""Locks on files of the runtime directory, which whoever leaves it last removes with them."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sandtop.core.paths import ensure_private

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.paths import Paths


def lock(path: Path) -> int | None:
    """The descriptor that holds ``path`` locked for this process, or None when another process does.

    The lock of a file that `leave` has removed meanwhile would hold nobody off: it is taken anew. Raises OSError and
    `StorageError`.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            ensure_private(path.parent)
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def held(path: Path) -> bool:
    """Whether a process holds ``path`` locked. Makes no file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def leave(paths: Paths) -> None:
    """Remove the runtime directory, unless a core runs, or machines have their sockets in it.

    For the supervisor alone, which holds its own lock: so no core is started meanwhile.
    """
    core = lock(paths.core_lock)
    if core is None:
        return
    locks = (paths.core_lock, paths.supervisor_lock)
    if set(os.listdir(paths.runtime)) <= {path.name for path in locks}:
        for path in locks:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # whoever starts the next core has made a file in it
            paths.runtime.rmdir()
    os.close(core)
