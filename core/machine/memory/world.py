"""A host without virtual machines, on which cores come and go: it outlives them, and so do the machines on it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.machine import procfs
from sandtop.core.machine.memory.faults import Faults
from sandtop.core.machine.memory.guest import Guest
from sandtop.core.machine.spec import Accelerator, Channel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandtop.core.machine.records import Identity
    from sandtop.core.machine.spec import MachineSpec

_FIRST_PID: Final = (1 << 22) + 1
"""Beyond PID_MAX_LIMIT (proc(5)): no process of the host has such a pid."""


class World:
    """``nursery`` owns what runs in the machines; it must outlive every core. ``close`` it in the end.

    Attributes:
        machines: those that run, by pid.
        faults: what is about to go wrong.
        boot_id: of the host, as that of this process; until `reboot` a test may give it another, of an earlier boot.
        boot_seconds: what a boot takes until the agent is ready.
        warnings: what agents could not do of what they were configured to, in words.
        accelerator: the best that works here.
        channel: the same.
        version, stamp: of the program that would run the machines.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.machines: dict[int, Guest] = {}
        self.faults = Faults()
        self.boot_id = procfs.boot_id()
        self.boot_seconds = 2.0
        self.accelerator = Accelerator.TCG
        self.channel = Channel.VIRTIO_SERIAL
        self.warnings: list[str] = []
        self.version, self.stamp = "1", "1"
        self._nursery = nursery
        self._last_pid = _FIRST_PID
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()

    def launch(self, spec: MachineSpec, console: Path) -> Guest:
        """A new machine, whose processors stand still."""
        self._last_pid += 1
        guest = Guest(
            spec, self._last_pid, self.faults, console, self.boot_seconds, self.warnings, self._gone
        )
        self.machines[guest.pid] = guest
        self._nursery.start_soon(guest.run)
        return guest

    def _gone(self, guest: Guest) -> None:
        self.machines.pop(guest.pid, None)

    def of(self, uuid: str) -> Guest:
        """The machine of the sandbox ``uuid``, which runs."""
        return next(guest for guest in self.machines.values() if guest.uuid == uuid)

    def find(self, identity: Identity) -> Guest | None:
        """The machine with this identity; None when it is gone, or its pid another's."""
        guest = self.machines.get(identity.pid)
        same = guest is not None and (guest.uuid, guest.start_time, guest.cid) == (
            identity.uuid,
            identity.start_time,
            identity.cid,
        )
        return guest if same and identity.boot_id == self.boot_id else None

    def reboot(self) -> None:
        """The host loses its power, and comes up again: no machine is left."""
        for guest in list(self.machines.values()):
            guest.end("the host has rebooted")
        self.boot_id = procfs.boot_id()

    def in_trio(self, change: Callable[[], None]) -> None:
        """Make a ``change`` to machines, from whatever thread this is called in."""
        if threading.get_ident() == self._thread:
            change()
        else:
            trio.from_thread.run_sync(change, trio_token=self._token)

    def close(self) -> None:
        """End all machines."""
        for guest in list(self.machines.values()):
            guest.end("the test is over")
