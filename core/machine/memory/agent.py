"""The agent of a machine without a kernel: the real one, turned by a task of trio's on trio's clock.

Loop, port, service, sessions and streams are those that run as process 1 of a guest, and they speak over a real
socket. What a kernel would do for them is done here: `Programs` for processes and cgroups, and an identity that is kept
instead of written to files. Of the agent's builtins, which fork, there is the one that mounts.

A thread or a process of its own would be closer still to a guest. But tests of the fleet run on a clock that jumps to
the next deadline as soon as all tasks are blocked (`trio.testing.MockClock`), and trio knows nothing of what goes on in
another thread: it would jump over every deadline of a request while the agent was about to answer. In a task, whatever
the core sends is there before anything is blocked, so the clock jumps when nothing is left to be done and never else.
"""

from __future__ import annotations

import math
import os
import socket
from typing import TYPE_CHECKING, cast

import trio

from sandtop.agent.loop import Loop
from sandtop.agent.machine import Machine as AgentMachine
from sandtop.agent.port import Port
from sandtop.agent.service import Service
from sandtop.agent.session import Host
from sandtop.agent.shutdown import Shutdown
from sandtop.agent.wire import Outbox
from sandtop.core.machine.memory.programs import Programs

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.agent.cgroups import Cgroups
    from sandtop.agent.machine import Identity
    from sandtop.agent.reaper import Reaper
    from sandtop.core.machine.memory.mounts import Disks


class _Loop(Loop):
    """The agent's loop, which waits in trio and not in the kernel."""

    def __init__(self) -> None:
        super().__init__(trio.current_time)

    def _patience(self) -> float:
        return 0.0

    async def wait(self) -> None:
        """Until there is something to do."""
        patience = super()._patience()
        with trio.move_on_after(math.inf if patience < 0 else patience):
            await trio.lowlevel.wait_readable(self._epoll.fileno())

    def close(self) -> None:
        self._epoll.close()


class _Machine(AgentMachine):
    """Hands its identity on instead of writing it to files."""

    def __init__(self, identify: Callable[[Identity], list[str]]) -> None:
        super().__init__(-1)
        self._identify = identify

    def identify(self, identity: Identity) -> list[str]:
        return self._identify(identity)

    def trust(self, certificate: str) -> list[str]:
        return []  # its files would be those of the host


class Agent:
    """One agent, from its machine's start to its end. ``run`` it; ``connect`` is the way to it. ``close`` it.

    Attributes:
        running: while this is not set the machine's processors stand still.
        hostname: the name that it was configured with; None before that.
        clock_ns: what its clock was set to last, nanoseconds since the epoch; None when it was not.
    """

    def __init__(
        self,
        turn_off: Callable[[], None],
        say: Callable[[str], None],
        refuses: Callable[[], str],
        warnings: list[str],
    ) -> None:
        """``turn_off`` ends the machine, ``say`` writes a line on its console.

        ``refuses`` gives the reason for which a configuration is refused; the empty string when it is taken, with
        these ``warnings``.
        """
        self.running = trio.Event()
        self.hostname: str | None = None
        self.clock_ns: int | None = None
        self._loop = _Loop()
        self._refuses = refuses
        self._warnings = warnings
        self._programs = Programs(self._loop)
        self._inside, self._outside = socket.socketpair()
        self._inside.setblocking(False)
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._turn_off = turn_off
        self._say = say
        self._service: Service | None = None

    def _identify(self, identity: Identity) -> list[str]:
        """Take on ``identity``; what could not be done of it. Raises OSError."""
        if why := self._refuses():
            raise PermissionError(1, why)
        self.hostname = identity.hostname or self.hostname
        self.clock_ns = identity.clock_ns or self.clock_ns
        return self._warnings

    @property
    def disks(self) -> Disks:
        """What it sees of disks, and what is mounted in it."""
        return self._programs.disks

    def connect(self) -> trio.SocketStream:
        """The host's end of the port. As a virtio-serial port it has no connections: it closes and opens unseen by the
        agent, and what an earlier core did not read still comes out of it."""
        return trio.SocketStream(trio.socket.from_stdlib_socket(self._outside.dup()))

    async def run(self) -> None:
        """Be the agent, until cancelled. A fault of its own is its last word on the console, as that of process 1."""
        nothing = cast("Cgroups", self._programs), cast("Reaper", self._programs)
        host = Host(self._loop, Outbox(), nothing[1], nothing[0], self._null, -1, "/")
        host.spawn, host.fork = self._programs.spawn, self._programs.fork
        shutdown = Shutdown(self._loop, host.cgroups, self._turn_off)
        self._service = service = Service(host, _Machine(self._identify), shutdown, self._say, {})
        link = Port(self._loop, self._inside.fileno(), host.outbox, service)
        service.drop = link.drop
        self._loop.after_turn = link.flush
        while True:
            await self.running.wait()
            await self._loop.wait()
            if self.running.is_set():
                self._loop.turn()

    def close(self) -> None:
        """The machine is gone: so is its end of the port, and of all connections into it."""
        if self._service is not None:
            self._service.link_ended("")
        self._programs.close()
        self._loop.close()
        for end in (self._inside, self._outside):
            end.close()
        os.close(self._null)
