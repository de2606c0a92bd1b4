"""What the programs that write tars say on their standard error when they fail: an error, as JSON on a line."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from sandtop.core.errors import ImageError, SandtopError, from_wire
from sandtop.core.guest import squashfs

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.guest.tools import Progress


def make(program: str, argument: Path, out: Path, doing: str, progress: Progress) -> None:
    """Make the squashfs file ``out`` of the tar that the module ``program`` writes, given ``argument``.

    ``progress`` gets what else it says. Raises its error, and as `squashfs.of_tar` does.
    """
    said: list[SandtopError] = []

    def hear(line: str) -> None:
        error = _told(line)
        if error is None:
            progress(line)
        else:
            said.append(error)

    try:
        squashfs.of_tar([sys.executable, "-P", "-m", program, argument], out, doing, hear)
    except ImageError as error:
        raise (said[-1] if said else error) from error


def _told(line: str) -> SandtopError | None:
    """The error that the line is, if it is one."""
    if not line.startswith("{"):
        return None
    try:
        data = json.loads(line)
    except ValueError:
        return None
    return from_wire(data) if isinstance(data, dict) else None  # pyright: ignore[reportUnknownArgumentType]
