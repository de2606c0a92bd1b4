"""Writing initramfs segments: the kernel's "newc" cpio format (Documentation/driver-api/early-userspace/buffer-format).

Written here rather than by cpio(1), which can neither make a device node nor give files to root unless it runs as
root. All files belong to root and have no time, so the same tree gives the same bytes.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC: Final = "070701"
_ALIGN: Final = 4


class CpioWriter:
    """Writes entries to ``output``; `close` ends the archive. Segments may follow each other in one initramfs."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._inode = 0

    def add_tree(self, folder: Path, at: str = "") -> None:
        """Add all that is below ``folder``, as ``at`` in the archive. Symbolic links stay links."""
        for path in sorted(folder.rglob("*")):
            name = f"{at}/{path.relative_to(folder).as_posix()}".lstrip("/")
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                self.add_link(name, os.fspath(path.readlink()))
            elif stat.S_ISDIR(mode):
                self.add_folder(name)
            else:
                self.add_file(name, path.read_bytes(), executable=bool(mode & 0o111))

    def add_folder(self, name: str, mode: int = 0o755) -> None:
        """Add an empty folder. Folders come before what is in them: the kernel makes none on its own."""
        self._entry(name, stat.S_IFDIR | mode, b"")

    def add_link(self, name: str, target: str) -> None:
        """Add a symbolic link to ``target``."""
        self._entry(name, stat.S_IFLNK | 0o777, os.fsencode(target))

    def add_file(self, name: str, data: bytes, *, executable: bool = False) -> None:
        """Add a regular file with these bytes."""
        self._entry(name, stat.S_IFREG | (0o755 if executable else 0o644), data)

    def add_character_device(self, name: str, major: int, minor: int) -> None:
        """Add a device node, for root alone."""
        self._entry(name, stat.S_IFCHR | 0o600, b"", device=(major, minor))

    def close(self) -> None:
        """Write the end mark, padded to 512 bytes."""
        self._entry("TRAILER!!!", 0, b"")
        self._pad(512)

    def _entry(self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        self._inode += 1
        encoded = os.fsencode(name) + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (self._inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(encoded), 0)
        self._output.write((_MAGIC + "".join(f"{field:08X}" for field in fields)).encode() + encoded)
        self._pad(_ALIGN)
        self._output.write(data)
        self._pad(_ALIGN)

    def _pad(self, unit: int) -> None:
        self._output.write(b"\0" * (-self._output.tell() % unit))
