"""Machines without machines, for tests: records in this process, each with the real agent on a socket.

    async with trio.open_nursery() as outside:                  # outlives every core
        world = World(outside)
        driver = MemoryDriver(world)                            # of one core; the next one has its own
        world.faults.add("boot", Fault(dies="no init found"))   # what is about to go wrong
        …
        world.of(uuid).panic("…")                               # a machine that dies by itself

What is real and what is not: the agent's loop, port, service, sessions and streams are those of a guest (`agent`); its
programs are a few words on its clock (`programs`). Files of templates and disks are real and carry a mark where a
machine's memory would be. Nothing here needs a right, a program of the host or a moment of real time, so tests of the
fleet run on a clock that jumps. `tests/core/machine/test_driver.py` holds this driver and that of the product to the
same words.
"""

from __future__ import annotations

from sandtop.core.machine.memory.driver import INFO, MemoryDriver
from sandtop.core.machine.memory.faults import Fault, Faults, Step
from sandtop.core.machine.memory.guest import Guest
from sandtop.core.machine.memory.world import World

__all__ = ["INFO", "Fault", "Faults", "Guest", "MemoryDriver", "Step", "World"]
