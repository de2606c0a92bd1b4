"""The file servers of one sandbox: one for each user that is asked for, begun when it is and ended when it idles.

And, for as long as it is asked something, the one that mounts.
"""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import STREAMS_PER_SESSION, ProtocolError
from sandtop.agent.wire.limits import MAX_SESSION_NUMBER
from sandtop.core.channel import too_old
from sandtop.core.errors import ChannelError, WrongState
from sandtop.core.files.call import PATIENCE, FilesLost
from sandtop.core.files.tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from sandtop.agent.wire import Data
    from sandtop.core.channel import AgentLink
    from sandtop.core.files.call import FileCall
    from sandtop.core.files.tunnel import Kind

    Key = tuple[str | None, Kind]
    """The user, and what it is for."""

_LINK_SECONDS: Final = 10.0
_IDLE: Final = 30.0
"""Seconds that a server without a call is kept: a fork of the agent takes a hundred times as long as a call."""
_END_SECONDS: Final = 5.0
_MOST_USERS: Final = 16
"""Servers at a time; each is a session for the agent, and takes some MiB of the guest's memory."""
_ID: Final = "files-"
_RANDOM: Final = 1 << 28


class Caller:
    """Who makes a call: what comes of it, and what goes with it. Each waiting ends by an answer or an error.

    Raises `FileFailed` for what the sandbox's kernel refuses, `FilesLost`, and `ChannelError` when nothing comes.
    """

    def __init__(self, call: FileCall, tunnel: Tunnel) -> None:
        self._call = call
        self._tunnel = tunnel

    async def opened(self) -> Mapping[str, object]:
        """What is said before the first byte."""
        return await self._call.wait_opened()

    async def answer(self) -> Mapping[str, object]:
        return await self._call.wait_answer()

    async def wait_alive(self) -> bool:
        """Return when there is an answer, or a sign of one; whether there is none yet."""
        return await self._call.wait_alive()

    async def until_over(self) -> None:
        """Return when there is an answer, however long that takes."""
        await self._call.wait_over()

    async def wait_data(self, patience: float = PATIENCE) -> bool:
        """Whether there is a `piece`, for which so many seconds are waited; false at the end."""
        return await self._call.wait_data(patience)

    def piece(self) -> bytes | None:
        """The next bytes that have come; None when none have."""
        piece = self._call.piece()
        self._tunnel.pump(self._call)
        return piece

    async def send(self, data: bytes) -> None:
        """Send ``data`` with the call; return when it is on its way."""
        view = memoryview(data)
        while view:
            await self._call.wait_room()
            if not self._call.room:
                return  # it was answered: nobody wants more
            count = min(len(view), self._call.room)
            self._call.stream.write(bytes(view[:count]))
            view = view[count:]
            self._tunnel.pump(self._call)

    def send_end(self) -> None:
        """All was sent."""
        self._call.stream.close()
        self._tunnel.pump(self._call)


class FileServers:
    """The servers of the sandbox ``name``. ``link`` gives the link to its agent, ``nursery`` owns the waiting."""

    def __init__(self, name: str, link: Callable[[], AgentLink | None], nursery: trio.Nursery) -> None:
        self._name = name
        self._link = link
        self._nursery = nursery
        self._open: dict[Key, Tunnel] = {}
        self._by_number: dict[int, Tunnel] = {}

    # what the agent says; numbers and ids of sessions that nobody else knows

    def message(self, key: object, message: Mapping[str, object]) -> bool:
        """The agent's word on the session ``key``; whether it is a server's."""
        for tunnel in list(self._by_number.values()):
            if tunnel.key == key:
                tunnel.message(message)
                if tunnel.ended.is_set():
                    self._by_number.pop(tunnel.number, None)
                return True
        return False

    def data(self, frame: Data) -> bool:
        """Output of a server; false where nothing has changed by it. Raises ProtocolError."""
        tunnel = self._by_number.get(frame.stream // STREAMS_PER_SESSION)
        return tunnel is not None and tunnel.data(frame)

    def credited(self, stream: int) -> bool:
        """The agent takes more of ``stream``; whether it is a server's."""
        tunnel = self._by_number.get(stream // STREAMS_PER_SESSION)
        if tunnel is None or stream % STREAMS_PER_SESSION:
            return False
        tunnel.credited()
        return True

    def broken(self, why: str) -> None:
        """The link broke, or the machine is gone: the servers are too, and the next call begins another."""
        link = self._link()
        for tunnel in self._by_number.values():
            tunnel.break_off(why)
            if link is not None:
                link.outbox.remove(tunnel.number * STREAMS_PER_SESSION)
        self._by_number.clear()
        self._open.clear()

    # calls

    @asynccontextmanager
    async def call(
        self, do: str, fields: Mapping[str, object], user: str | None, *, kind: Kind = "files"
    ) -> AsyncGenerator[Caller]:
        """A call as ``user``, None for the sandbox's own. Leaving the context ends it.

        A server of ``"layers"`` ends with it: while there is one the programs of the sandbox stand still. Raises
        `WrongState`, `ChannelError`, and ProtocolError of the guest's as a `ChannelError`.
        """
        link = self._link()
        if link is None:
            raise WrongState(f"{self._name} does not run", sandbox=self._name)
        await link.wait_up(_LINK_SECONDS)
        if not link.files:
            raise too_old(self._name, "cannot be asked about files", instead="or copy files: sandtop cp")
        if kind == "layers" and not link.layers:
            raise too_old(self._name, "cannot make a layer of what it holds")
        if kind == "mounts" and not link.mounts:
            raise too_old(self._name, "cannot be told to mount or to grow")
        tunnel = self._tunnel(link, user, kind)
        call = tunnel.begin(do, fields)
        try:
            tunnel.pump()
            yield Caller(call, tunnel)
        except ProtocolError as error:
            tunnel.kill(str(error))
            raise ChannelError(f"{self._name}: {error}", sandbox=self._name) from error
        except ChannelError as error:
            if not isinstance(error, FilesLost) and tunnel.lost is None:
                tunnel.kill("it did not answer")
            raise
        finally:
            tunnel.end(call)
            if kind == "layers":
                await _end(tunnel)

    def end_mounting(self) -> None:
        """The server that mounts has no more to do."""
        tunnel = self._open.pop(("root", "mounts"), None)
        if tunnel is not None:
            tunnel.close()

    def _tunnel(self, link: AgentLink, user: str | None, kind: Kind) -> Tunnel:
        key = user, kind
        tunnel = self._open.get(key)
        if tunnel is not None and tunnel.lost is None and not tunnel.full:
            return tunnel
        if tunnel is not None and tunnel.lost is None and tunnel.busy:
            raise WrongState(
                f"too many calls about files of {self._name} are under way",
                sandbox=self._name,
                hint="wait for some",
            )
        self._open = {each: one for each, one in self._open.items() if one.lost is None}
        if len(self._open) >= _MOST_USERS:
            self._make_room()
        number = MAX_SESSION_NUMBER - secrets.randbelow(_RANDOM)
        tunnel = Tunnel(link, self._name, f"{_ID}{secrets.token_hex(8)}", number)
        self._open[key] = self._by_number[number] = tunnel
        tunnel.open(user, kind)
        self._nursery.start_soon(_end_idle, tunnel, name=f"idleness of {tunnel.key}")
        return tunnel

    def _make_room(self) -> None:
        """End a server that idles. Raises `WrongState`."""
        for key, tunnel in self._open.items():
            if not tunnel.busy:
                tunnel.close()
                del self._open[key]
                return
        raise WrongState(
            f"files of {self._name} are asked for as {_MOST_USERS} users at once already", sandbox=self._name
        )


async def _end(tunnel: Tunnel) -> None:
    """End ``tunnel``, and see that its server does: otherwise it is killed."""
    if tunnel.lost is not None:
        return
    tunnel.close()
    with trio.move_on_after(_END_SECONDS, shield=True):
        await tunnel.ended.wait()
    if not tunnel.ended.is_set():
        tunnel.kill("it did not end")


async def _end_idle(tunnel: Tunnel) -> None:
    """End ``tunnel`` once there was no call for a while."""
    calls = -1
    while tunnel.lost is None and (tunnel.busy or tunnel.calls > calls):
        calls = tunnel.calls
        await trio.sleep(_IDLE)
    if tunnel.lost is None:
        tunnel.close()
