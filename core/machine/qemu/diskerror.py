"""Reads and writes of a machine's disk that the host refused, as QEMU tells of them.

QEMU stops a machine whose write failed and keeps the write (``werror=stop``): the guest sees nothing of it, and
``cont`` tries the write again. A read that failed is passed to the guest, as a real disk would (``rerror=report``).
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.machine.records import DiskError
from sandtop.core.machine.text import neutral

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.machine.qemu.qmp import Event

_NO_ROOM: Final = os.strerror(errno.ENOSPC)
_REASON_LENGTH: Final = 80


def told(event: Event) -> DiskError | None:
    """What ``event`` says of a disk: BLOCK_IO_ERROR (QEMU's qapi/block-core.json); None for every other event."""
    if event.name != "BLOCK_IO_ERROR":
        return None
    data = event.data
    said = data.get("reason")
    reason = neutral(said)[:_REASON_LENGTH] if isinstance(said, str) and said else "it does not say why"
    if data.get("nospace") is True:
        reason = _NO_ROOM
    return DiskError(reason, data.get("action") == "stop")


def found(answer: object) -> DiskError | None:
    """The error that a machine stands still by, from ``query-block``: its words were in an event that nobody heard."""
    devices = cast("list[object]", answer) if isinstance(answer, list) else []
    states = {
        str(cast("Mapping[str, object]", device).get("io-status"))
        for device in devices
        if isinstance(device, dict)
    }
    if "nospace" in states:
        return DiskError(_NO_ROOM, stopped=True)
    return DiskError("the disk failed", stopped=True) if "failed" in states else None
