"""The warm pool: machines that were started from a template, warmed up and paused, before anybody asked for them.

`create` takes one, if it has the right shape, and it becomes a sandbox. A warm machine costs its memory and no
processor time. The pool has some only of shapes that were used lately, and only while the host has memory and room on
its disk to spare. Until one is taken it is nobody's: the database does not know of it, and a mark in its folder tells a
core that comes after one that was killed to end it.
"""

from __future__ import annotations

import logging
import shutil
import time
import uuid as uuids
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import SandtopError
from sandtop.core.fleet.sandbox import Sandbox
from sandtop.core.fleet.state import State
from sandtop.core.machine import host_memory
from sandtop.core.store import SandboxConfig, SandboxRow

if TYPE_CHECKING:
    from collections.abc import Collection

    from sandtop.core.fleet.context import Context
    from sandtop.core.machine import Driver
    from sandtop.core.paths import Paths

log = logging.getLogger(__name__)
_MARK: Final = "standing-by"
"""The name of the mark in the folder of a machine that is nobody's; cores of earlier versions leave it, too."""
_IDLE: Final = 600.0
"""Seconds after its last use for which a shape has machines in the pool."""
_LOOK: Final = 5.0
"""Seconds between looks at the host's memory and at what was not used for long."""
_AFTER_FAILURE: Final = 60.0
_WAIT: Final = 5.0
"""Seconds to wait for a machine that is being made ready: it will be ready before a new one would be."""
_FILL_ABOVE: Final = 4
"""A machine is added only if this fraction of the host's memory (a quarter) stays available afterwards."""
_EMPTY_BELOW: Final = 8
"""When less than this fraction of the host's memory (an eighth) is available, all machines in the pool are ended."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What tells machines apart before they are somebody's."""

    image_digest: str
    image: str
    cpus: int
    memory: int
    disk: int
    network: str
    accelerator: str

    @classmethod
    def of(cls, config: SandboxConfig, digest: str) -> _Shape:
        return cls(
            digest, config.image, config.cpus, config.memory, config.disk, config.network, config.accelerator
        )

    def row(self) -> SandboxRow:
        """A machine of this shape that is nobody's."""
        config = SandboxConfig(
            self.image, self.cpus, self.memory, self.disk, self.network, accelerator=self.accelerator
        )
        return SandboxRow(
            uuid=str(uuids.uuid4()), name="warm", config=config, state=State.STARTING.value, reason="",
            created_at=time.time(), image_digest=self.image_digest,
        )  # fmt: skip


@dataclass(slots=True)
class _Shelf:
    """The machines of one shape.

    Attributes:
        used: when a sandbox of this shape was made last (trio's clock).
        ready: the machines that can be taken.
        filling: how many are being made ready.
        waiting: how many requests wait for one of those.
        not_before: when the next may be made, after one failed (trio's clock).
        news: where those requests wait for a machine to be ready, or to have failed.
    """

    used: float
    ready: list[Sandbox] = field(default_factory=list[Sandbox])
    filling: int = 0
    waiting: int = 0
    not_before: float = 0.0
    news: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    @property
    def count(self) -> int:
        return len(self.ready) + self.filling


class WarmPool:
    """``run`` fills it and thins it out; the setting ``warm_machines`` bounds it, over all shapes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._limit = context.settings.warm_machines
        self._shelves: OrderedDict[_Shape, _Shelf] = OrderedDict()
        self._wake = trio.Event()
        self._scope = trio.CancelScope()
        self._ended: trio.Event | None = None

    def ready(self) -> dict[str, int]:
        """How many machines are ready, by the digest of their image."""
        found: dict[str, int] = {}
        for shape, shelf in self._shelves.items():
            found[shape.image_digest] = found.get(shape.image_digest, 0) + len(shelf.ready)
        return found

    async def take(self, config: SandboxConfig, digest: str) -> Sandbox | None:
        """A machine of this shape, paused, that is the caller's to `Sandbox.become` or `Sandbox.discard`."""
        shelf = self._shelves.get(_Shape.of(config, digest))
        if shelf is None:
            return None
        with trio.move_on_after(_WAIT):
            while True:
                while shelf.ready:
                    sandbox = shelf.ready.pop(0)  # `used` has another made when this one is a sandbox
                    if sandbox.machine is not None:
                        return sandbox
                    await _discard(sandbox)  # it died, and nobody has looked since
                if shelf.filling <= shelf.waiting:
                    return None
                shelf.waiting += 1
                try:
                    await shelf.news.park()
                finally:
                    shelf.waiting -= 1
        return None

    def given_away(self, sandbox: Sandbox) -> None:
        """It is a sandbox now, in the database too."""
        with suppress(OSError):  # a core that finds the mark of a sandbox that it knows removes it
            (sandbox.folder / _MARK).unlink()

    def used(self, row: SandboxRow) -> None:
        """A sandbox of this shape was made: others may follow."""
        if self._limit:
            shape = _Shape.of(row.config, row.image_digest)
            shelf = self._shelves.setdefault(shape, _Shelf(0.0))
            shelf.used = trio.current_time()
            self._shelves.move_to_end(shape)
            self._wake.set()

    def forget_images(self, keep: Collection[str]) -> None:
        """Machines of other images than those with the digests ``keep`` are of no use any more."""
        for shape, shelf in self._shelves.items():
            if shape.image_digest not in keep:
                shelf.used = -_IDLE
        self._wake.set()

    async def run(self) -> None:
        """Fill and thin out, until `close`."""
        self._ended = trio.Event()
        with self._scope:
            try:
                async with trio.open_nursery() as nursery:
                    while True:
                        self._thin_out(nursery)
                        for shape in self._due():
                            self._shelves[shape].filling += 1
                            nursery.start_soon(self._fill, shape, self._shelves[shape])
                        self._wake = trio.Event()
                        with trio.move_on_after(_LOOK):
                            await self._wake.wait()
            finally:
                self._ended.set()

    async def close(self) -> None:
        """End all machines of the pool, and `run`."""
        self._scope.cancel()
        if self._ended is not None:
            await self._ended.wait()
        for shelf in self._shelves.values():
            while shelf.ready:
                await _discard(shelf.ready.pop())

    def _wanted(self) -> dict[_Shape, int]:
        """How many of each shape: one of each that was used lately, the newest first, and the rest of the newest."""
        newest = [shape for shape in reversed(self._shelves) if not self._stale(self._shelves[shape])]
        wanted = dict.fromkeys(newest[: self._limit], 1)
        if newest:
            wanted[newest[0]] += self._limit - len(wanted)
        return wanted

    def _stale(self, shelf: _Shelf) -> bool:
        return trio.current_time() - shelf.used >= _IDLE

    def _due(self) -> list[_Shape]:
        """The shapes to make one more of, one entry for each machine."""
        if self._context.room is not None and not self._context.room.enough:
            return []
        total, available = host_memory()
        due: list[_Shape] = []
        for shape, count in self._wanted().items():
            shelf = self._shelves[shape]
            for _ in range(count - shelf.count):
                available -= shape.memory
                if available >= total // _FILL_ABOVE and trio.current_time() >= shelf.not_before:
                    due.append(shape)
        return due

    def _thin_out(self, nursery: trio.Nursery) -> None:
        """End what is too many, was not used for long, has died, or takes memory that the host is short of."""
        total, available = host_memory()
        wanted = {} if available < total // _EMPTY_BELOW else self._wanted()
        for shape, shelf in list(self._shelves.items()):
            dead = [sandbox for sandbox in shelf.ready if sandbox.machine is None]
            living = [sandbox for sandbox in shelf.ready if sandbox.machine is not None]
            keep = wanted.get(shape, 0)
            shelf.ready = living[:keep]
            for sandbox in (*dead, *living[keep:]):
                nursery.start_soon(_discard, sandbox)
            if self._stale(shelf) and not shelf.count:
                del self._shelves[shape]

    async def _fill(self, shape: _Shape, shelf: _Shelf) -> None:
        sandbox = Sandbox(shape.row(), self._context, warm=True)
        kept = False
        try:
            sandbox.folder.mkdir(mode=0o700)
            (sandbox.folder / _MARK).touch(mode=0o600)
            await sandbox.warm_up()
            kept = True
        except (SandtopError, OSError) as error:
            shelf.not_before = trio.current_time() + _AFTER_FAILURE
            log.warning("the warm pool gets no machine: %s", error)
        finally:
            shelf.filling -= 1
            if kept:
                shelf.ready.append(sandbox)
            else:
                with trio.CancelScope(shield=True):
                    await _discard(sandbox)
            shelf.news.unpark_all()
            self._wake.set()


async def _discard(sandbox: Sandbox) -> None:
    try:
        await sandbox.discard()
    except SandtopError as error:
        log.warning("a machine of the warm pool: %s", error)


def end_leftovers(paths: Paths, driver: Driver, known: Collection[str]) -> None:
    """After a core that was killed: end the machines of its warm pool, but those of ``known`` sandboxes. Blocks."""
    marks = {mark.parent.name: mark for mark in paths.sandboxes.glob(f"*/{_MARK}")}
    for uuid in marks.keys() & set(known):
        marks.pop(uuid).unlink(missing_ok=True)
    if not marks:
        return
    for ended in driver.end_all(lambda machine: machine.uuid in marks):
        log.info("ended a machine of the warm pool, pid %d", ended.pid)
    for uuid, mark in marks.items():
        shutil.rmtree(paths.machine_runtime(uuid), ignore_errors=True)
        shutil.rmtree(mark.parent, ignore_errors=True)
