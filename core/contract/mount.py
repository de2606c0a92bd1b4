"""What is mounted in a sandbox whenever it runs."""

from __future__ import annotations

from .record import Part

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Literal

    from .limits import Bytes, FileMode, MountPoint, Text


class Mount(Part):
    """A folder of the host, a volume, or memory, at a folder of a sandbox.

    Attributes:
        type: ``bind`` for a folder of the host, ``volume`` for a disk of its own that outlives sandboxes, ``tmpfs``
            for memory of the sandbox, which is empty at each of its starts.
        source: of ``bind`` the absolute path of the folder, of ``volume`` its name; null of ``tmpfs``.
        target: where in the sandbox; a folder that is not there is made.
        read_only: nothing can be written there.
        size: of ``tmpfs`` the most bytes that it takes; null for half of the sandbox's memory.
        mode: of ``tmpfs`` its permission bits; null for 1777 (octal), as /tmp has them.
    """

    type: Literal["bind", "volume", "tmpfs"]
    source: Text | None = None
    target: MountPoint
    read_only: bool = False
    size: Bytes | None = None
    mode: FileMode | None = None
