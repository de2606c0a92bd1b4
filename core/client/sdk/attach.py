"""This program's own terminal on a session, on anyio: the SDK's ``attach``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from sandtop.core.client.session.attached import Past, returning, starting
from sandtop.core.client.session.detach import DETACH_KEYS, DetachKeys
from sandtop.core.client.session.ending import outcome
from sandtop.core.client.session.events import Gap, Redrawn, Stdout
from sandtop.core.client.session.nonblocking import SharedOutput
from sandtop.core.client.session.permission import allowed_here
from sandtop.core.client.session.refusals import allowed
from sandtop.core.client.session.stream import EventStream
from sandtop.core.client.session.tty import INPUT, OUTPUT, OwnTerminal
from sandtop.core.errors import ChannelError
from sandtop.core.groups import unwrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sandtop.core.client.session.following import Following
    from sandtop.core.contract.sandbox import SandboxInfo

_TYPED_BYTES: Final = 64 * 1024
"""Keys and pastes that wait for a program that does not read, or for a core that is gone."""
_DRAWN_BYTES: Final = 16 * 1024
"""What is drawn of the past between two looks at the keyboard."""
_PIECE: Final = 4096


@dataclass(frozen=True, slots=True)
class Detached:
    """The detach keys were typed: ``session`` goes on, and `Sandbox.attach_session` comes back to it."""

    session: str


class Attachment:
    """Carries ``following`` on ``terminal`` to its end, or until ``keys`` are typed."""

    def __init__(self, following: Following, sandbox: str, terminal: OwnTerminal, keys: DetachKeys) -> None:
        self._following = following
        self._stream = EventStream(following)
        self._sandbox = sandbox
        self._terminal = terminal
        self._output = SharedOutput(OUTPUT)
        self._keys = keys
        self._past = Past(following, terminal.size)
        self._typed = bytearray()
        self._left = False
        self._told_lost = False
        if following.input_open:
            following.resize(*terminal.size())

    async def run(self) -> int | Detached:
        """The exit status, or that it was left. Raises what the core reports, and what `outcome` makes of the end."""
        try:
            with self._terminal, unwrapped():
                async with anyio.create_task_group() as group:
                    group.start_soon(self._type, group.cancel_scope)
                    group.start_soon(self._follow_size)
                    await self._show()
                    group.cancel_scope.cancel()
        finally:
            self._output.close()
            await self._stream.aclose()
        if self._left:
            return Detached(self._following.session or "")
        return outcome(self._following.result or {}, self._sandbox)

    async def _show(self) -> None:
        stream = self._stream
        while stream.record is None:
            await stream.advance()
            await self._push()  # credit may have come
            while (event := stream.take()) is not None:
                if isinstance(event, Stdout):
                    for at in range(0, len(event.data), _DRAWN_BYTES):
                        piece = event.data[at : at + _DRAWN_BYTES]
                        await self._put(self._past.show(event.offset + at, piece))
                        await anyio.lowlevel.checkpoint()
                    if self._following.drawn(event.offset + len(event.data)):
                        await stream.flush()
                elif isinstance(event, Redrawn):
                    shown = self._past.screen(event.data, event.offset, event.size, event.sizes)
                    await self._put(shown)
                elif isinstance(event, Gap):
                    await self._say(f"{event.bytes} bytes of output are missing: the log's limit was reached")
            if self._following.input_lost and not self._told_lost:
                self._told_lost = True
                await self._say(f"{self._following.holder or 'nobody'} holds the input; you are watching now")

    async def _say(self, line: str) -> None:
        # a label is another client's word
        shown = "".join(char if char.isprintable() else "?" for char in line)
        await self._put(f"\r\nsandtop: {shown} ({self._keys.text} leaves)\r\n".encode())

    async def _put(self, data: bytes) -> None:
        view = memoryview(self._terminal.passed(data))
        while view:
            await anyio.wait_writable(self._output.fd)
            view = view[self._output.write(view) :]

    async def _type(self, scope: anyio.CancelScope) -> None:
        while True:
            if len(self._typed) >= _TYPED_BYTES:
                await self._stream.advance()
                await self._push()
                continue
            await anyio.wait_readable(INPUT)
            data = os.read(INPUT, _PIECE)
            if not data:
                raise ChannelError("this terminal is gone", sandbox=self._sandbox)
            data, self._left = self._keys.feed(data)
            if self._following.input_open:
                self._typed += data
                await self._push()
            if self._left:
                scope.cancel()
                return

    async def _push(self) -> None:
        """Send what was typed, as far as there is room for it."""
        if room := min(self._following.room, len(self._typed)):
            self._following.write(bytes(self._typed[:room]))
            del self._typed[:room]
        await self._stream.flush()

    async def _follow_size(self) -> None:
        while True:
            await anyio.wait_readable(self._terminal.fd)
            if self._terminal.changed() and self._following.input_open:
                self._following.resize(*self._terminal.size())
                await self._stream.flush()


class Attachable:
    """What a sandbox offers to a person at a terminal."""

    _info: SandboxInfo

    async def attach(
        self,
        program: str,
        args: Sequence[str] = (),
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        detach_keys: str = DETACH_KEYS,
        allow: Iterable[str] = (),
    ) -> int | Detached:
        """Run ``program`` on this process's own terminal; its exit status, or `Detached` when it was left.

        ``detach_keys`` are as docker writes them: ``ctrl-]``, ``ctrl-p,ctrl-q``. ``allow`` are the kinds (those of
        ``sandtop attach --allow``) by which the program may reach outside of the screen, beside those in the
        settings. The program outlives this one. Raises `InvalidRequest` without a terminal, `SpawnError` when it could
        not be started.
        """
        return await self._attach_new([program, *args], cwd, env, user, detach_keys, allow)

    async def attach_shell(
        self,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        detach_keys: str = DETACH_KEYS,
        allow: Iterable[str] = (),
    ) -> int | Detached:
        """`attach` with the sandbox's shell."""
        return await self._attach_new([self._info.shell], cwd, env, user, detach_keys, allow)

    async def attach_session(
        self,
        session: str,
        *,
        read_only: bool = False,
        take: bool = False,
        detach_keys: str = DETACH_KEYS,
        allow: Iterable[str] = (),
    ) -> int | Detached:
        """Come back to the terminal of ``session``: its screen, then all that follows.

        With ``read_only`` it is only watched; ``take`` takes the input from whoever holds it. Raises `WrongState` when
        it has ended, has no terminal, or somebody else holds the input.
        """
        keys, terminal = DetachKeys(detach_keys), OwnTerminal(allowed(allow, "allow") | allowed_here())
        following = returning(self._info.uuid, session, read_only=read_only, take=take, size=terminal.size())
        return await Attachment(following, self._info.name, terminal, keys).run()

    async def _attach_new(
        self,
        argv: list[str],
        cwd: str | None,
        env: Mapping[str, str] | None,
        user: str | None,
        detach_keys: str,
        allow: Iterable[str],
    ) -> int | Detached:
        keys, terminal = DetachKeys(detach_keys), OwnTerminal(allowed(allow, "allow") | allowed_here())
        following = starting(
            self._info.uuid, argv, terminal.size(), own=self._info.env, env=env or {}, cwd=cwd, user=user
        )
        return await Attachment(following, self._info.name, terminal, keys).run()
