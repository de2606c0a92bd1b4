"""What QEMU tells of its machine by itself: that the agent's port is open, and what the host refused of its disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.machine.qemu.diskerror import told
from sandtop.core.machine.records import DiskError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from sandtop.core.machine.qemu.qmp import Event

_WAITING: Final = 64
"""How many refusals wait to be received; of more, the later ones are dropped."""


class Heard:
    """Fed by `listen` with the events of one monitor, for as long as the machine is attached.

    Attributes:
        disk_errors: each refusal of the host's; ends with the events.
    """

    def __init__(self) -> None:
        self._report, self.disk_errors = trio.open_memory_channel[DiskError](_WAITING)
        self._ready = False
        self._stopped: DiskError | None = None
        self._news = trio.Event()

    async def listen(self, events: AsyncIterable[Event]) -> None:
        """Take the ``events`` until there are no more."""
        async for event in events:
            if event.name == "VSERPORT_CHANGE" and event.data.get("open") is True:
                self._ready = True
                self._news.set()
            elif (error := told(event)) is not None:
                if error.stopped:
                    self._stopped = error
                    self._news.set()
                try:
                    self._report.send_nowait(error)
                except (trio.WouldBlock, trio.BrokenResourceError):
                    continue  # what it says of the disk, the ones before said too
        self._report.close()
        self._news.set()

    async def until_ready(self) -> DiskError | bool:
        """Whether the guest has opened the port, once that is known: False when the events ended before.

        Or the first refusal that stopped the machine before it had.
        """
        await self._news.wait()
        return self._ready or self._stopped or False
