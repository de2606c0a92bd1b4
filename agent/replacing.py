"""Files of the sandbox's root that the agent writes, whatever its programs have put in their place."""

from __future__ import annotations

import errno
import os


def replace(path: str, content: str) -> None:
    """Write ``path`` in the sandbox by renaming a new file over it. Raises OSError.

    What is there is never opened: a FIFO would block the agent.
    """
    fresh = f"{path}.sandtop"
    if os.path.lexists(fresh):
        os.unlink(fresh)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        try:
            write_to(fd, content)
        finally:
            os.close(fd)
        os.rename(fresh, path)
    except OSError:
        os.unlink(fresh)
        raise


def write_to(fd: int, content: str) -> None:
    """Write all of ``content``. Raises OSError."""
    data = os.fsencode(content)
    if os.write(fd, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
