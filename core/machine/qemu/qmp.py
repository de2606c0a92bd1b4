"""A client of QMP, QEMU's monitor protocol (docs/interop/qmp-spec): JSON objects, one a line, over a Unix socket.

The peer is not trusted: a guest may have taken QEMU over. Lines and queues are bounded, and anything that is not QMP
ends the connection with a `MachineError`, which every later call repeats.
"""

from __future__ import annotations

import json
import os
import socket
from array import array
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.errors import MachineError
from sandtop.core.machine.nursery import background
from sandtop.core.machine.text import neutral

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

LINE_BYTES: Final = 1024 * 1024
"""The longest line that is read. QEMU 7.2's longest answer, query-qmp-schema, has 170 KB."""

EVENT_BYTES: Final = 16 * 1024
"""The longest event. The longest ones that QEMU sends name a block node and an error."""

EVENTS: Final = 64
"""How many events wait to be received; more are dropped, and counted."""

DEADLINE: Final = 5.0
"""Seconds that a command may take. QEMU answers in a millisecond; a host under load may not."""

_READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """Something that QEMU reports of its own accord: ``SHUTDOWN``, ``STOP``, ``RESUME`` …"""

    name: str
    data: Mapping[str, object]


class QmpRefused(MachineError):
    """QEMU understood a command and refused it. The connection is as good as before."""


class _NotQmp(Exception):
    """The peer sent something that is not QMP."""


@dataclass(slots=True)
class _Call:
    """A command that waits for its answer."""

    done: trio.Event = field(default_factory=trio.Event)
    answer: object = None
    refusal: str | None = None


class QmpClient:
    """One connection, made by `connect`.

    Attributes:
        release: QEMU's version, such as ``(7, 2)``.
        events: what QEMU reports, oldest first; ends when the connection does.
        dropped_events: how many events found `EVENTS` others waiting before them.
        shutdown: why the machine ended, once QEMU has said so: ``guest-shutdown``, ``guest-reset``,
            ``host-qmp-quit`` … (ShutdownCause in QEMU's qapi/run-state.json).
        ended: set when the connection is over, and every event is in ``events``.
    """

    def __init__(self, stream: trio.socket.SocketType, name: str) -> None:
        self._socket = stream
        self.name = name
        self._received = bytearray()
        self._sending = trio.Lock()
        self._calls: dict[int, _Call] = {}
        self._last_id = 0
        self._broken: str | None = None
        self._report, self.events = trio.open_memory_channel[Event](EVENTS)
        self.dropped_events = 0
        self.release: tuple[int, int] = (0, 0)
        self.shutdown: str | None = None
        self.ended = trio.Event()

    async def execute(
        self,
        command: str,
        /,
        *,
        deadline: float = DEADLINE,
        descriptor: int | None = None,
        **arguments: object,
    ) -> object:
        """Run ``command`` and return QEMU's answer, parsed; most commands answer ``{}``.

        ``arguments`` are the command's; one whose name has a hyphen goes in by ``**{"a-b": …}``. ``descriptor`` is
        sent along (SCM_RIGHTS), as ``getfd`` and ``add-fd`` want it; ours stays open. Raises `QmpRefused` when QEMU
        refuses, `MachineError` when the connection is gone or no answer comes within ``deadline`` seconds.
        """
        self._check()
        self._last_id += 1
        number, call = self._last_id, _Call()
        request = {"execute": command, "arguments": arguments, "id": number}
        self._calls[number] = call
        try:
            with trio.move_on_after(deadline):
                await self._send(json.dumps(request).encode() + b"\n", descriptor)
                await call.done.wait()
        finally:
            del self._calls[number]
        if call.refusal is not None:
            raise QmpRefused(f"QEMU refused {command}: {call.refusal}", sandbox=self.name)
        if not call.done.is_set():
            self._check()
            raise MachineError(f"QEMU did not answer {command} within {deadline:g} s", sandbox=self.name)
        if self._broken is not None and call.answer is None:
            self._check()
        return call.answer

    async def pass_descriptor(self, name: str, descriptor: int, *, deadline: float = DEADLINE) -> None:
        """Give QEMU a copy of ``descriptor``, which later commands call ``fd:NAME`` (``getfd``)."""
        await self.execute("getfd", deadline=deadline, descriptor=descriptor, fdname=name)

    def _check(self) -> None:
        if self._broken is not None:
            raise MachineError(self._broken, sandbox=self.name)

    def _break(self, why: str) -> None:
        """End the connection, once, and everything that waits for it."""
        if self._broken is None:
            self._broken = why
            self._socket.close()
            self._received.clear()
            self._report.close()
            self.ended.set()
            for call in self._calls.values():
                call.done.set()

    async def _send(self, line: bytes, descriptor: int | None) -> None:
        async with self._sending:
            self._check()
            sent = 0
            try:
                if descriptor is not None:
                    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [descriptor]))
                    sent = await self._socket.sendmsg([line], [rights])
                while sent < len(line):
                    sent += await self._socket.send(line[sent:])
            except OSError as error:
                self._break(f"the QMP connection broke: {error.strerror}")
                self._check()
            finally:
                if 0 < sent < len(line):
                    # half a command is in QEMU's buffer: nothing sensible can follow it
                    self._break("the QMP connection was given up in the middle of a command")

    async def _read_line(self) -> tuple[dict[str, object], int]:
        """The next line, parsed, and its length. Raises `_NotQmp`, OSError, or EOFError when the peer has closed."""
        scanned = 0
        while (end := self._received.find(b"\n", scanned)) < 0:
            scanned = len(self._received)
            if scanned > LINE_BYTES:
                raise _NotQmp(f"a line longer than {LINE_BYTES} bytes")
            data = await self._socket.recv(_READ_BYTES)
            if not data:
                raise EOFError
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        try:
            parsed: object = json.loads(line)
        # a deep nest of brackets exhausts the parser's stack
        except (ValueError, RecursionError) as error:
            raise _NotQmp("a line that is not JSON") from error
        if not isinstance(parsed, dict):
            raise _NotQmp("a line that is not an object")
        return cast("dict[str, object]", parsed), len(line)

    async def run(self) -> None:
        """Read until the connection ends: the one task that `connect` gives the client. Never raises of its own."""
        try:
            greeting, _ = await self._read_line()
            self.release = _release(greeting)
            while True:
                self._take(*await self._read_line())
        except _NotQmp as error:
            self._break(f"QEMU's monitor does not speak QMP: it sent {error}")
        except EOFError:
            self._break("QEMU closed the QMP connection")
        except (OSError, trio.ClosedResourceError) as error:
            self._break(f"the QMP connection broke: {error}")

    def _take(self, message: dict[str, object], length: int) -> None:
        event = message.get("event")
        if isinstance(event, str):
            if length > EVENT_BYTES:
                raise _NotQmp(f"an event longer than {EVENT_BYTES} bytes")
            self._take_event(event, message.get("data", {}))
            return
        number = message.get("id")
        # an answer that nobody waits for any more is a late one
        call = self._calls.get(number) if isinstance(number, int) else None
        if "return" in message:
            if call is not None:
                call.answer = message["return"]
                call.done.set()
        elif isinstance(error := message.get("error"), dict):
            if call is not None:
                description = cast("dict[str, object]", error).get("desc")
                call.refusal = neutral(str(description))
                call.done.set()
        else:
            raise _NotQmp("a message of no known kind")

    def _take_event(self, name: str, data: object) -> None:
        if not isinstance(data, dict):
            raise _NotQmp("an event without data")
        event = Event(neutral(name), cast("dict[str, object]", data))
        if event.name == "SHUTDOWN":
            self.shutdown = neutral(str(event.data.get("reason")))
        try:
            self._report.send_nowait(event)
        except trio.WouldBlock:
            self.dropped_events += 1


def _release(greeting: object) -> tuple[int, int]:
    """The version that QEMU greets with. Raises `_NotQmp`."""
    found = greeting
    for key in ("QMP", "version", "qemu"):
        found = cast("dict[str, object]", found).get(key) if isinstance(found, dict) else None
    facts = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    major, minor = facts.get("major"), facts.get("minor")
    if not isinstance(major, int) or not isinstance(minor, int):
        raise _NotQmp("a greeting that is not QMP's")
    return major, minor


@asynccontextmanager
async def connect(path: Path, name: str, *, deadline: float = DEADLINE) -> AsyncGenerator[QmpClient]:
    """A client of the QMP socket at ``path``, ready for commands; the connection ends with the context.

    ``name`` is the sandbox's, for errors. QEMU serves one connection at a time and takes the next when one is
    dropped. Raises `MachineError` when there is no QMP within ``deadline`` seconds.
    """
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        with trio.move_on_after(deadline) as waiting:
            await _reach(stream, path, name)
        if waiting.cancelled_caught:
            raise MachineError(f"QEMU's monitor did not answer within {deadline:g} s", sandbox=name)
        client = QmpClient(stream, name)
        async with background(client.run):
            await client.execute("qmp_capabilities", deadline=deadline)
            yield client


async def _reach(stream: trio.socket.SocketType, path: Path, name: str) -> None:
    try:
        await stream.connect(os.fsencode(path))
    except OSError as error:
        raise MachineError(f"cannot reach QEMU's monitor: {error.strerror}", sandbox=name) from error
