"""What a layer that was taken had of the disk, so that the next one has only what has changed since.

Kept beside the disk's files, where no program of the sandbox sees it: a build goes on after its server has ended.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final

    Mark = dict[bytes, tuple[int, int, int]]
    """By path: inode, the time of its last change (ctime, nanoseconds), and which of `PLAIN`, `OPAQUE`, `WHITEOUT`."""

_COARSE: Final = 5
"""The clock that files' times are by: CLOCK_REALTIME_COARSE of linux/time.h, which goes on by milliseconds."""
_TICKS: Final = 100
PLAIN: Final = 0
OPAQUE: Final = 1
"""A folder that hides all that layers below have in it."""
WHITEOUT: Final = 2
"""No file, but the sign that one of a layer below is gone."""


def read(path: str, key: str) -> Mark | None:
    """The mark ``key``, the last one or the one before; None when it is neither."""
    for each in (path, f"{path}.before"):
        try:
            with open(each, "rb") as file:
                lines = file.read().split(b"\0")
        except FileNotFoundError:
            continue
        if lines[0] == os.fsencode(key):
            return _parsed(lines[1:-1])
    return None


def _parsed(lines: list[bytes]) -> Mark:
    found: Mark = {}
    for line in lines:
        inode, changed, kind, name = line.split(b" ", 3)
        found[name] = int(inode), int(changed), int(kind)
    return found


def write(path: str, key: str, mark: Mark) -> None:
    """Keep ``mark`` as ``key``, and the one that was there: a core that died asks once more. Raises OSError.

    Whatever changes after this has a later time than all in it.
    """
    _await_tick()
    fresh = f"{path}.new"
    with open(fresh, "wb") as file:
        file.write(os.fsencode(key) + b"\0")
        for name, (inode, changed, kind) in mark.items():
            file.write(b"%d %d %d %s\0" % (inode, changed, kind, name))
    if os.path.exists(path):
        os.rename(path, f"{path}.before")
    os.rename(fresh, path)


def _await_tick() -> None:
    begun = time.clock_gettime_ns(_COARSE)
    for _ in range(_TICKS):
        if time.clock_gettime_ns(_COARSE) != begun:
            return
        time.sleep(0.001)
