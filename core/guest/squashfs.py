"""squashfs files: how they are made, of a folder or of a tar, and whether one is whole."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from sandtop.core.guest.tools import pipe, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandtop.core.guest.tools import Progress

# Cold reads are what an emulated processor feels: of a first `python3 -c` with a few imports, zstd took 0.5 to 1 s more
# than no compression at all, lz4 in small blocks none; the file is half as large as without.
_COMPRESSION: Final = ("-comp", "lz4", "-b", "32K")
_OPTIONS: Final = ("-noappend", "-no-progress", "-quiet", *_COMPRESSION)
# Looking for files that are there twice compares each with all others of its size: of 17,000 files of 4 KiB it took 6
# of 7 s, and of a hostile tar's two million for ever. Of the image base it saves 0.06 %.
_TAR_OPTIONS: Final = ("-no-duplicates",)
_TIMEOUT: Final = 1800.0
# of the squashfs 4.0 superblock, the number of bytes that the archive has
_SUPERBLOCK: Final = struct.Struct("<40xQ")


def of_folder(folder: Path, out: Path, doing: str, *, keep_owners: bool) -> None:
    """Make the squashfs file ``out`` of what is in ``folder``; all of it is root's unless ``keep_owners``.

    ``doing`` names the step in errors. Raises as `tools.run` does.
    """
    owners = () if keep_owners else ("-all-root",)
    run(["mksquashfs", folder, out, *_OPTIONS, *owners], doing, timeout=_TIMEOUT)


def of_tar(
    producer: Sequence[str | Path],
    out: Path,
    doing: str,
    narrate: Progress | None = None,
    tmp: Path | None = None,
) -> None:
    """Make the squashfs file ``out`` of the tar that the command ``producer`` writes. Its owners and modes are kept.

    ``doing`` names the step in errors; ``narrate`` gets the lines of the producer's standard error; ``tmp`` is the
    folder for temporary files of both programs. Raises as `tools.pipe` does.
    """
    pipe(
        producer,
        ["mksquashfs", "-", out, "-tar", *_OPTIONS, *_TAR_OPTIONS],
        doing,
        timeout=_TIMEOUT,
        env={"TMPDIR": str(tmp)} if tmp else None,
        narrate=narrate,
    )


def is_whole(path: Path) -> bool:
    """Whether the file has a squashfs superblock and as many bytes as that says. Raises OSError."""
    with path.open("rb") as file:
        start = file.read(_SUPERBLOCK.size)
    if len(start) < _SUPERBLOCK.size or not start.startswith(b"hsqs"):
        return False
    length: int = _SUPERBLOCK.unpack(start)[0]
    return path.stat().st_size >= length
