"""What a transport must stand so that nothing above it can tell it from another: a kit that each of them passes.

A new transport gets a `Way` here, and nothing else.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest
import trio

from sandtop.agent.wire import VSOCK_PORT
from sandtop.core.channel import Hybrid, UnixSocket, Vsock
from sandtop.core.channel.vsock import DialError

from .hybrid import HybridVsock
from .scripted import ENDLESS, ScriptedAgent, listening, run, running_core, shake_hands, until
from .test_link import INPUT, Typist

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sandtop.core.channel import Transport

    from .scripted import Core

    Serve = Callable[[trio.SocketStream], Awaitable[None]]

KEY = "a" * 16
RECONNECTS = 1000


class Way(Protocol):
    """A transport, with an agent that ``serve`` is at its other end."""

    def __call__(self, folder: Path, serve: Serve) -> AbstractAsyncContextManager[Transport]: ...


@dataclass
class _Pairs:
    nursery: trio.Nursery
    serve: Serve

    async def open(self, token: str) -> trio.abc.Stream:
        inside, outside = socket.socketpair()
        self.nursery.start_soon(self._serve, trio.SocketStream(trio.socket.from_stdlib_socket(inside)))
        await trio.lowlevel.checkpoint()
        return trio.SocketStream(trio.socket.from_stdlib_socket(outside))

    async def _serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await self.serve(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return


@asynccontextmanager
async def socketpair(folder: Path, serve: Serve) -> AsyncGenerator[Transport]:
    """A connection and nothing else."""
    async with trio.open_nursery() as nursery:
        yield _Pairs(nursery, serve)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def port(folder: Path, serve: Serve) -> AsyncGenerator[Transport]:
    """A virtio-serial port's socket: one connection at a time."""
    async with listening(folder, serve):
        yield UnixSocket(folder / "agent")


@asynccontextmanager
async def hybrid(folder: Path, serve: Serve) -> AsyncGenerator[Transport]:
    """A hypervisor's vsock on a Unix socket."""
    async with HybridVsock({VSOCK_PORT: serve}).listening(folder / "v.sock"):
        yield Vsock(Hybrid(folder / "v.sock"))


@asynccontextmanager
async def introduced(folder: Path, serve: Serve) -> AsyncGenerator[Transport]:
    """A vsock that others can reach, whose agent learns the secret over its port."""

    async def meet(stream: trio.SocketStream) -> None:
        await shake_hands(stream)

    async with HybridVsock({VSOCK_PORT: serve}).listening(folder / "v.sock"), listening(folder, meet):
        yield Vsock(Hybrid(folder / "v.sock"), UnixSocket(folder / "agent"))


@asynccontextmanager
async def fallen_back(folder: Path, serve: Serve) -> AsyncGenerator[Transport]:
    """A vsock that does not work, in front of a port that does."""

    met = False

    async def dial(port: int) -> trio.SocketStream:
        raise DialError(os.strerror(errno.ECONNRESET), errno.ECONNRESET)

    async def meet_first(stream: trio.SocketStream) -> None:
        nonlocal met
        if met:
            await serve(stream)
        else:
            met = await shake_hands(stream)

    async with listening(folder, meet_first):
        yield Vsock(dial, UnixSocket(folder / "agent"), fall_back=True)


@pytest.fixture(params=[socketpair, port, hybrid, introduced, fallen_back], ids=lambda way: str(way.__name__))
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


async def exchange(core: Core) -> None:
    """Bytes in and the same bytes out, whatever happens to the link."""
    await core.link.wait_up(3600)
    core.start(KEY, "cat")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Typist(core, KEY, INPUT).type)
        await core.ended(KEY)
    await until(lambda: core.link.connected and not core.sessions.running)
    assert core.output(KEY) == INPUT
    record = core.sessions.get(KEY).record
    assert record is not None
    assert (record.code, record.stdout, record.source) == (7, len(INPUT), "agent")


def carried(way: Way, folder: Path, serve: Serve, *, seconds: float = 36_000) -> None:
    """A core with that transport gets `exchange` done."""

    async def main() -> None:
        async with way(folder, serve) as transport, running_core(folder, transport=transport) as core:
            await exchange(core)

    run(main, seconds=seconds)


def _cuts(direction: str, step: int) -> Callable[[int], tuple[int, int]]:
    def cut(link: int) -> tuple[int, int]:
        most = link * step if link < 4000 // step else ENDLESS  # beyond it there is nothing left to cut
        return (most, ENDLESS) if direction == "to the core" else (ENDLESS, most)

    return cut


@pytest.mark.parametrize("direction", ["to the core", "from the core"])
@pytest.mark.parametrize("step", [pytest.param(7, marks=pytest.mark.slow), 37])
def test_it_may_be_cut_at_any_byte(way: Way, tmp_path: Path, direction: str, step: int) -> None:
    agent = ScriptedAgent(_cuts(direction, step))
    carried(way, tmp_path, agent.serve)
    assert agent.links > 300 // step
    assert agent.started == [KEY]
    assert agent.programs == {}


def _first(times: int, does: Serve) -> tuple[ScriptedAgent, Serve]:
    """An agent at whose place another one is for the first ``times`` connections."""
    agent, connections = ScriptedAgent(), 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        await (does if connections <= times else agent.serve)(stream)

    return agent, serve


async def _silence(stream: trio.SocketStream) -> None:
    while await stream.receive_some(4096):
        pass


async def _half_open(stream: trio.SocketStream) -> None:
    """Accepted, and gone before anything was said: a connection that was a ghost's."""
    await stream.aclose()


async def _rubbish(stream: trio.SocketStream) -> None:
    """Other bytes than an answer, and after the answer bytes that are no frames."""
    await stream.send_all(bytes(range(256)) * 64)
    if await shake_hands(stream):
        await stream.send_all(b"\xff" * 4096)
        await _silence(stream)


async def _mute(stream: trio.SocketStream) -> None:
    """Answers the marker and nothing else."""
    if await shake_hands(stream):
        await _silence(stream)


@pytest.mark.parametrize(
    "trouble", [_silence, _half_open, _rubbish, _mute], ids=lambda it: it.__name__.strip("_")
)
def test_trouble_ends_by_itself(way: Way, tmp_path: Path, trouble: Serve) -> None:
    agent, serve = _first(4, trouble)
    carried(way, tmp_path, serve, seconds=120)
    assert agent.started == [KEY]


def test_it_opens_a_thousand_times_and_leaves_no_descriptor(way: Way, tmp_path: Path) -> None:
    async def echo(stream: trio.SocketStream) -> None:
        while data := await stream.receive_some(64):
            await stream.send_all(data)

    async def main() -> None:
        async with way(tmp_path, echo) as transport:
            held = 0
            for number in range(RECONNECTS):
                stream = await transport.open("c0" * 16)
                await stream.send_all(b"%d" % number)
                assert await stream.receive_some(64) == b"%d" % number
                await trio.aclose_forcefully(stream)
                if number == 10:
                    await trio.testing.wait_all_tasks_blocked()
                    held = len(os.listdir("/proc/self/fd"))
            await trio.testing.wait_all_tasks_blocked()
            assert len(os.listdir("/proc/self/fd")) <= held

    run(main)
