"""A streamed command: its events, its input, and what can be done to it."""

from __future__ import annotations

import os
import signal as signals
import sys
import weakref
from typing import TYPE_CHECKING, Final, Literal, Self

import anyio

from sandtop.core.client.link.asynchronous import call
from sandtop.core.client.link.plain import new_id
from sandtop.core.client.link.values import signal_number
from sandtop.core.client.session.ending import outcome, part
from sandtop.core.client.session.events import Redrawn
from sandtop.core.contract.session import SessionResize, SessionSignal
from sandtop.core.errors import InvalidRequest, NotFound, WrongState

if TYPE_CHECKING:
    from types import TracebackType

    from sandtop.core.client.session.events import Event, ExitRecord
    from sandtop.core.client.session.stream import EventStream

OnExit = Literal["kill", "detach"]
Scope = Literal["leader", "group", "all"]
_AT_ONCE: Final = 64
"""Events that one step of a synchronous iteration takes at most."""
_KILL_SECONDS: Final = 20.0
"""How long leaving a block waits for the end of what it killed."""


class Stdin:
    """A command's input."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        """Send all of ``data``; return when it is on its way, acknowledged or kept until it is.

        Waits as long as the program does not read. Raises `WrongState` when the program has closed its input, has
        ended, or somebody else holds the input. Output that comes meanwhile is kept for the iteration (8 MiB; beyond
        that this waits for it, or, when nobody iterates, the oldest becomes a `Gap`).
        """
        stream, following = self._stream, self._stream.following
        view = memoryview(data)
        while view:
            self._check()
            room = min(following.room, len(view))
            if room:
                following.write(bytes(view[:room]))
                view = view[room:]
                await stream.flush()
            else:
                await stream.advance()
        await self._settle()

    async def aclose(self) -> None:
        """Close it: the program reads to the end of what was sent. On a terminal it is the end-of-file character.

        Harmless when it is closed already.
        """
        self._stream.following.close_input()
        await self._stream.flush()
        await self._settle()

    async def _settle(self) -> None:
        stream = self._stream
        while stream.record is None and not stream.following.input_sent:
            await stream.advance()
            await stream.flush()

    def _check(self) -> None:
        following = self._stream.following
        if self._stream.record is not None:
            raise WrongState(f"session {following.session} has ended and takes no input")
        if not following.input_open:
            raise WrongState(
                f"session {following.session} takes no input any more",
                hint="it was closed here or by the program, or another client holds it",
            )


class _Events:
    """One iteration. The process knows by a weak reference whether it still goes on."""

    __slots__ = ("__weakref__", "_stream")

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        stream = self._stream
        while True:
            event = stream.take()
            if event is not None and not isinstance(event, Redrawn):
                return event
            if event is None:
                if stream.record is not None:
                    raise StopAsyncIteration
                await stream.advance()

    async def several(self) -> list[Event]:
        """The next events: at least one, and no more than have come; none after the end."""
        try:
            events = [await anext(self)]
        except StopAsyncIteration:
            return []
        while len(events) < _AT_ONCE and (event := self._stream.take()) is not None:
            if not isinstance(event, Redrawn):
                events.append(event)
        return events


class Process:
    """A command that runs in a sandbox. Iterate over it for its events; use it as a context.

    Leaving the context ends the command (``on_exit="kill"``, all that it started, also what it left running when it
    ended by itself) or leaves it running (``on_exit="detach"``).
    """

    def __init__(self, stream: EventStream, sandbox: str, *, on_exit: OnExit, has_stdin: bool) -> None:
        self._stream = stream
        self._sandbox = sandbox
        self._on_exit = on_exit
        self._stdin = Stdin(stream) if has_stdin else None

    @property
    def session(self) -> str:
        """The session's id: `Sandbox.follow` comes back to it."""
        return self._stream.following.session or ""

    @property
    def record(self) -> ExitRecord | None:
        """How it ended; None while it runs, or while its end was not read yet."""
        return self._stream.record

    @property
    def stdin(self) -> Stdin:
        """Its input. Raises `InvalidRequest` when it was started without."""
        if self._stdin is None:
            raise InvalidRequest("this command was started without an input", hint="pass stdin=True")
        return self._stdin

    async def started(self) -> None:
        """Return when the program runs, or has run. Raises `SpawnError` when it could not be started."""
        stream = self._stream
        while stream.following.session is None and stream.record is None:
            await stream.advance()
        while not stream.events and stream.record is None:
            await stream.advance()
        result = stream.following.result
        if result is not None and stream.record is not None and stream.record.reason == "spawn":
            outcome(result, self._sandbox)

    def __aiter__(self) -> _Events:
        events = _Events(self._stream)
        alive = weakref.ref(events)
        self._stream.has_reader = lambda: alive() is not None
        return events

    async def wait(self) -> ExitRecord:
        """Wait for the end and tell it, however often it is asked.

        Output that nobody takes is kept for a later iteration (8 MiB; beyond that the oldest becomes a `Gap`).
        """
        while self._stream.record is None:
            await self._stream.advance()
        return self._stream.record

    async def signal(self, signal: int | str, *, scope: Scope = "leader") -> None:
        """Send ``signal`` (a number or a name such as ``"TERM"``) to the first process, its group, or all.

        Raises `WrongState` when the command has ended.
        """
        await send_signal(self._sandbox, self.session, signal, scope)

    async def kill(self) -> None:
        """Kill all that the command started, also what it left running. Harmless when nothing is."""
        try:
            await self.signal(signals.SIGKILL, scope="all")
        except (NotFound, WrongState):
            return

    async def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal. Raises `InvalidRequest` when it has none."""
        await call(
            SessionResize(
                sandbox=self._sandbox, session=self.session, rows=rows, columns=columns, op_id=new_id()
            )
        )

    async def aclose(self) -> None:
        """End or leave it, as ``on_exit`` says."""
        if self._on_exit == "kill" and self.record is None:
            with anyio.move_on_after(_KILL_SECONDS, shield=True):
                await self.kill()
                self._stream.has_reader = lambda: False
                await self.wait()
        elif self._on_exit == "kill" and self._left_something:
            with anyio.move_on_after(_KILL_SECONDS, shield=True):
                await self.kill()
        await self._stream.aclose()

    @property
    def _left_something(self) -> bool:
        result = self._stream.following.result
        return result is not None and bool(part(result, "session").get("left"))

    async def abandon(self) -> None:
        """Close the connection and nothing else: what becomes of the command, ``on_exit`` told the core."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


async def begun(process: Process) -> None:
    """Wait until ``process`` runs; nothing is left of it when that fails."""
    try:
        await process.started()
    except BaseException:
        await process.abandon()
        raise


async def send_signal(sandbox: str, session: str, signal: int | str, scope: Scope) -> None:
    """Send ``signal`` to ``session``: see `Process.signal`."""
    await call(
        SessionSignal(
            sandbox=sandbox,
            session=session,
            signal=signal_number(signal),
            scope=scope,
            op_id=new_id(),
            label=f"{os.path.basename(sys.argv[0]) or 'python'} (pid {os.getpid()})",
        )
    )
