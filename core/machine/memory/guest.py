"""One machine in memory: what of it lives on when no core looks after it."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal

import trio

from sandtop.core.errors import MachineError, from_os_error
from sandtop.core.machine.memory.agent import Agent
from sandtop.core.machine.records import Death, DiskError, Usage
from sandtop.core.machine.spec import Channel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandtop.core.machine.memory.faults import Faults
    from sandtop.core.machine.spec import MachineSpec

log = logging.getLogger(__name__)
_IMAGE: Final = b"the memory of a machine whose agent is ready"
"""What a machine in memory leaves in its memory file when it is saved, and looks for when it goes on."""
_MOST_EVENTS: Final = 64

Processors = Literal["running", "paused", "refused"]
"""``refused``: they stand still by a write that the disk refused."""


class _Halted(Exception):
    """Its processors stopped for good in the middle of something."""


class Guest:
    """A machine with its agent. ``gone`` is told when it has ended.

    Attributes:
        console: the file that it prints to.
        answers: whether it answers a core that asks it something; what it runs goes on.
        disk_refuses: the host's words for why writes are refused now; empty when they are not.
        refused: the write that its processors stand still by, or stood still by last.
        processors: what they do.
        death: how it ended.
        usage: what it is taken to use of the host.
    """

    def __init__(
        self,
        spec: MachineSpec,
        pid: int,
        faults: Faults,
        console: Path,
        boot_seconds: float,
        warnings: list[str],
        gone: Callable[[Guest], None],
    ) -> None:
        self.uuid = spec.uuid
        self.spec = spec
        self.pid = pid
        self.start_time = int(trio.current_time() * 100)
        self.cid = pid if spec.channel is Channel.VSOCK else None
        self.restored = spec.restored
        self.answers = True
        self.disk_refuses = ""
        self.refused: DiskError | None = None
        self.processors: Processors = "paused"
        self.death: Death | None = None
        self.usage = Usage(0.0, 64 << 20)
        self.ended = trio.Event()
        self.up = trio.Event()
        """Its agent has opened its port."""
        self._faults = faults
        self.console = console
        self._boot_seconds = boot_seconds
        self._gone = gone
        self._scope = trio.CancelScope()
        self._listeners: list[trio.MemorySendChannel[DiskError]] = []
        self.agent = Agent(self._switch_off, self.say, self._refuses, warnings)

    async def run(self) -> None:
        """Boot, or go on from where it was saved, and be its agent until it ends."""
        try:
            with self._scope:
                await self._come_up()
                await self.agent.run()
        except _Halted:
            pass
        except Exception as error:  # the boundary: process 1 of a guest does the same
            log.exception("a fault of a guest's")
            self.say(f"sandtop-agent: fatal: {type(error).__name__}: {error}")
            self.end("the guest switched itself off", orderly=True)
        finally:
            self.end("the host is gone")
            self.agent.close()

    async def _come_up(self) -> None:
        await self.agent.running.wait()
        if not self.restored:
            self.say("a machine in memory boots")
            await trio.sleep(self._boot_seconds)
        fault = await self._faults.meet("boot")
        if fault is not None and fault.dies:
            self.panic(fault.dies)
        await self.agent.running.wait()
        self.up.set()

    def _refuses(self) -> str:
        fault = self._faults.take("configure")
        if fault is None:
            return ""
        if fault.dies:
            self.panic(fault.dies)
            raise _Halted
        return fault.error.message if fault.error is not None else ""

    def say(self, line: str) -> None:
        """A line on its console."""
        with suppress(OSError), self.console.open("a") as file:  # its folder may be gone before it is
            file.write(f"{line}\n")

    # how it ends

    def _switch_off(self) -> None:
        self.end("the guest switched itself off", orderly=True)

    def panic(self, reason: str) -> None:
        """Its kernel gives up."""
        self.say(f"Kernel panic - not syncing: {reason}")
        self.end(f"the guest's kernel gave up: Kernel panic - not syncing: {reason}")

    def end(self, reason: str, *, orderly: bool = False) -> Death:
        """End the machine, unless it has ended; returns how it ended."""
        if self.death is None:
            self.death = Death(reason, orderly)
            self._gone(self)
            for listener in self._listeners:
                listener.close()
            self.ended.set()
            self._scope.cancel()
        return self.death

    # its processors and its disk

    def pause(self) -> None:
        """Stop them; a machine that its disk stopped stays so."""
        if self.processors == "running":
            self._stand(still="paused")

    def resume(self) -> None:
        """Let them run; a write that was refused is tried again."""
        self.processors = "running"
        self.agent.running.set()
        if self.disk_refuses:
            self.refuse_write(self.disk_refuses)

    def _stand(self, still: Processors) -> None:
        self.processors = still
        if self.agent.running.is_set():
            self.agent.running = trio.Event()

    def refuse_write(self, reason: str) -> None:
        """The host refuses a write, and those that follow until `accept_writes`: the machine stands still."""
        self.disk_refuses = reason
        self._stand(still="refused")
        self.refused = DiskError(reason, stopped=True)
        self._tell(self.refused)

    def accept_writes(self) -> None:
        """The host takes writes again; the machine stands still until somebody resumes it."""
        self.disk_refuses = ""

    def refuse_read(self, reason: str) -> None:
        """The host refuses a read; the guest is told, and goes on."""
        self._tell(DiskError(reason, stopped=False))

    def _tell(self, error: DiskError) -> None:
        for listener in self._listeners:
            with suppress(trio.WouldBlock, trio.BrokenResourceError):
                listener.send_nowait(error)

    def listen(self) -> trio.MemoryReceiveChannel[DiskError]:
        """What its disk refuses from now on."""
        sender, receiver = trio.open_memory_channel[DiskError](_MOST_EVENTS)
        self._listeners.append(sender)
        if self.death is not None:
            sender.close()
        return receiver

    # snapshots

    def save(self, state: Path) -> None:
        """Stop for good, and write what it is. Raises `StorageError`."""
        assert self.spec.memory is not None, "a machine that is to be saved has a memory file"
        self._stand(still="paused")
        try:
            with self.spec.memory.file.open("r+b") as file:
                file.write(_IMAGE)
            with state.open("x") as file:
                json.dump({"memory": self.spec.memory_mib, "cpus": self.spec.cpus}, file)
        except OSError as error:
            raise from_os_error(error, "saving a machine's state") from error

    def load(self) -> None:
        """Take up what `save` wrote. Raises `MachineError` when it is nothing of a machine of this shape."""
        memory = self.spec.memory
        if memory is None or memory.state is None:
            return
        try:
            state: object = json.loads(memory.state.read_text())
            with memory.file.open("rb") as file:
                image = file.read(len(_IMAGE))
        except OSError as error:
            raise from_os_error(error, "loading a machine's state") from error
        except ValueError:
            state, image = None, b""
        if state != {"memory": self.spec.memory_mib, "cpus": self.spec.cpus} or image != _IMAGE:
            raise MachineError("the state is not that of such a machine", sandbox=self.spec.name)
