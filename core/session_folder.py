"""What core and screen worker share of a session's folder: the log, and the checkpoint of a terminal beside it.

The core imports this module too, so it imports no emulator.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC: Final = b"sandtop screen 1\n"
MOST_BYTES: Final = 8 << 20
"""Bytes of the largest dump that a checkpoint may have. A larger one is neither written nor read."""
MOST_FILE: Final = MOST_BYTES + 4096
"""Bytes of the largest file with a checkpoint."""
CHECKPOINT: Final = "screen"
"""The file's name, beside the terminal's log."""


class TooLarge(Exception):
    """The dump of a screen is larger than a checkpoint may be."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a screen: ``dump``, written to an empty terminal of ``rows`` and ``columns``, makes it.

    Attributes:
        offset: all output before this offset is in it.
        number: of the size that the window has in it (`sandtop.core.sessions.tty.Size`).
    """

    offset: int
    number: int
    rows: int
    columns: int
    dump: bytes


def save(folder: Path, checkpoint: Checkpoint, most_bytes: int = MOST_BYTES) -> None:
    """Write ``checkpoint`` into ``folder``. Raises OSError and `TooLarge`; the one before is still there then."""
    if len(checkpoint.dump) > most_bytes:
        raise TooLarge(f"the screen takes {len(checkpoint.dump)} bytes, and {most_bytes} are kept at most")
    head = {
        "offset": checkpoint.offset,
        "number": checkpoint.number,
        "rows": checkpoint.rows,
        "columns": checkpoint.columns,
        "bytes": len(checkpoint.dump),
        "crc": zlib.crc32(checkpoint.dump),
    }
    fresh = folder / f"{CHECKPOINT}.{os.getpid()}"
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(_MAGIC + json.dumps(head).encode() + b"\n" + checkpoint.dump)
        fresh.replace(folder / CHECKPOINT)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def load(folder: Path) -> Checkpoint | None:
    """The checkpoint in ``folder``; None when there is none, or it is damaged."""
    try:
        with (folder / CHECKPOINT).open("rb") as file:
            data = file.read(MOST_FILE)
    except OSError:
        return None
    try:
        magic, head, dump = data.split(b"\n", 2)
        fields = json.loads(head)
        whole = magic + b"\n" == _MAGIC and len(dump) == fields["bytes"] and zlib.crc32(dump) == fields["crc"]
        offset, number, rows, columns = (
            cast("int", fields[name]) for name in ("offset", "number", "rows", "columns")
        )
    except (ValueError, KeyError, TypeError):
        return None
    return Checkpoint(offset, number, rows, columns, dump) if whole else None


class StoredTerminal:
    """The log of a terminal in ``folder``, as `sandtop.core.sessions.log` writes it, for another process to read."""

    __slots__ = ("_folder", "_starts")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._starts: list[int] = []

    def read(self, offset: int, end: int) -> tuple[int, bytes]:
        """Output from ``offset`` on, not beyond ``end``: the offset of its first byte, and the bytes.

        The offset is larger than ``offset`` when the log's cap took what was there; ``end`` when nothing is left, and
        then there are no bytes. Raises OSError.
        """
        for _ in range(
            3
        ):  # the core may delete a segment after the folder was listed and before it is opened
            start = max((start for start in self._starts if start <= offset), default=None)
            if start is not None:
                try:
                    fd = os.open(self._folder / f"1.{start:016x}", os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    pass
                else:
                    try:
                        data = os.pread(fd, end - offset, offset - start)
                    finally:
                        os.close(fd)
                    if data:
                        return offset, data
            self._starts = _starts(self._folder)
            if not any(start <= offset for start in self._starts):
                offset = min(self._starts, default=end)
                if offset >= end:
                    break
        return end, b""


def _starts(folder: Path) -> list[int]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [int(name[2:], 16) for name in names if name.startswith("1.") and len(name) == 18]
