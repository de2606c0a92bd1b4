"""Ports of the host that lead into sandboxes, and connections of clients: the real agent, in the core's own process.

Time is real here: what comes of a socket does not wait for a clock that jumps.
"""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.agent.wire.limits import MAX_CONNECTIONS
from sandtop.core.client.sdk import Sandbox as Client
from sandtop.core.contract.sandbox import PortForward
from sandtop.core.errors import (
    AlreadyExists,
    ChannelError,
    ConnectionRefused,
    InvalidRequest,
    SandtopError,
    WrongState,
)
from sandtop.core.fleet import State
from sandtop.core.groups import unwrapped
from sandtop.core.ports import Forwarder

from .lab import CONFIG, Lab
from .served import PATIENCE, in_real_time, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from sandtop.core.fleet import Sandbox

    from .lab import Core

    Case = Callable[[Lab], Awaitable[None]]
    RunCase = Callable[[Case], None]
    Serve = Callable[[trio.SocketStream], Awaitable[None]]

HOST = "127.0.0.1"


@pytest.fixture
def run(home: Path, shared_cache: Path) -> RunCase:
    """Runs a case in real time."""
    return partial(in_real_time, home, shared_cache)


@asynccontextmanager
async def program(serve: Serve) -> AsyncGenerator[int]:
    """A program that listens in the sandbox, which is this host; its port."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host=HOST)
        nursery.start_soon(partial(trio.serve_listeners, serve, [listener]))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def echo(stream: trio.SocketStream) -> None:
    """Sends back what comes, and ends when that does."""
    async with stream:
        try:
            async for data in stream:
                await stream.send_all(data)
        except trio.BrokenResourceError:
            return


async def silent(stream: trio.SocketStream) -> None:
    """Reads nothing, for ever."""
    async with stream:
        await trio.sleep_forever()


async def nobody() -> int:
    """A port that nobody listens on."""
    async with program(echo) as port:
        pass
    return port


async def exchange(port: int, data: bytes) -> bytes:
    """What comes back on a connection to ``port`` of the host on which ``data`` was sent, and its end."""
    received = bytearray()
    with trio.fail_after(PATIENCE), unwrapped():
        async with await trio.open_tcp_stream(HOST, port) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(_send, stream, data)
            async for piece in stream:
                received += piece
    return bytes(received)


async def _send(stream: trio.abc.HalfCloseableStream, data: bytes) -> None:
    await stream.send_all(data)
    await stream.send_eof()


@asynccontextmanager
async def forwarding(
    box: Sandbox, *ports: PortForward, failures: list[SandtopError] | None = None
) -> AsyncGenerator[list[PortForward]]:
    """A forwarder at work; where it listens."""

    def failed(_port: PortForward, error: SandtopError) -> None:
        if failures is not None:
            failures.append(error)

    forwarder = Forwarder(box.name, ports, box.connect, failed)
    forwarder.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(forwarder.serve)
        yield forwarder.ports
        forwarder.close()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110  # what it looks at tells nobody
            await trio.sleep(0.01)


# forwarding


def test_a_forwarded_port_leads_to_the_program(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core, program(echo) as port:
            box = await core.create()
            async with forwarding(box, PortForward(guest_port=port)) as (found,):
                assert found.host_port > 0
                assert await exchange(found.host_port, b"hello") == b"hello"
                sent = bytes(range(256)) * 8192
                assert await exchange(found.host_port, sent) == sent
            with pytest.raises(OSError, match="all attempts to connect"):
                await trio.open_tcp_stream(HOST, found.host_port)

    run(case)


def test_where_nothing_listens_a_client_is_reset_and_the_reason_told(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            failures: list[SandtopError] = []
            port = await nobody()
            async with forwarding(box, PortForward(guest_port=port), failures=failures) as (found,):
                with pytest.raises(trio.BrokenResourceError):
                    await exchange(found.host_port, b"")
                await until(lambda: bool(failures))
                assert isinstance(failures[0], ConnectionRefused)
                assert failures[0].message == f"nothing listens on port {port} in box"

    run(case)


def test_many_at_once_and_one_that_is_stalled(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core, program(echo) as port, program(silent) as deaf:
            box = await core.create()
            ways = PortForward(guest_port=port), PortForward(guest_port=deaf)
            async with (
                forwarding(box, *ways) as (found, stalled),
                await trio.open_tcp_stream(HOST, stalled.host_port) as held,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(_flood, held)
                done = 0

                async def one(number: int) -> None:
                    nonlocal done
                    data = b"%d" % number * 1000
                    assert await exchange(found.host_port, data) == data
                    done += 1

                async with trio.open_nursery() as clients:
                    for number in range(300):
                        clients.start_soon(one, number)
                assert done == 300
                nursery.cancel_scope.cancel()

    run(case)


async def _flood(stream: trio.SocketStream) -> None:
    while True:
        await stream.send_all(bytes(1 << 16))


def test_one_more_than_there_can_be_is_refused_by_name(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core, program(silent) as port:
            box = await core.create()
            held = [await box.connect(port) for _ in range(MAX_CONNECTIONS)]
            with pytest.raises(WrongState, match="box has 1,024 connections"):
                await box.connect(port)
            held[0].reset()
            await box.connect(port)

    run(case)


def test_a_program_that_resets_resets_its_client(run: RunCase) -> None:
    async def rude(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.aclose_forcefully(stream)

    async def case(lab: Lab) -> None:
        async with lab.core() as core, program(rude) as port:
            box = await core.create()
            async with forwarding(box, PortForward(guest_port=port)) as (found,):
                with pytest.raises(trio.BrokenResourceError):
                    await exchange(found.host_port, b"x")

    run(case)


def test_a_client_that_resets_resets_the_program(run: RunCase) -> None:
    seen = trio.Event()

    async def watching(stream: trio.SocketStream) -> None:
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            seen.set()

    async def case(lab: Lab) -> None:
        async with lab.core() as core, program(watching) as port:
            box = await core.create()
            async with forwarding(box, PortForward(guest_port=port)) as (found,):
                stream = await trio.open_tcp_stream(HOST, found.host_port)
                await stream.send_all(b"x")
                await until(lambda: len(_connections(box)) == 1)
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                await trio.aclose_forcefully(stream)
                with trio.fail_after(PATIENCE):
                    await seen.wait()
                await until(lambda: not _connections(box))

    run(case)


def _connections(box: Sandbox) -> range:
    assert box.machine is not None
    return range(len(box.machine.link.connections))


def test_a_port_that_is_taken(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core, program(echo) as port:
            box = await core.create()
            forwarder = Forwarder(
                "box", [PortForward(guest_port=1), PortForward(host_port=port, guest_port=80)], box.connect
            )
            with pytest.raises(AlreadyExists) as caught:
                forwarder.listen()
            assert caught.value.message == (
                f"127.0.0.1:{port} cannot lead to port 80 of box: something listens on port {port} already"
            )
            assert f"sport = :{port}" in (caught.value.hint or "")

    run(case)


def test_an_address_that_this_host_does_not_have(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            forwarder = Forwarder("box", [PortForward(address="192.0.2.1", guest_port=80)], box.connect)
            with pytest.raises(InvalidRequest, match=r"no address 192\.0\.2\.1"):
                forwarder.listen()

    run(case)


def test_the_link_of_an_agent_that_is_gone_breaks_its_connections(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core, program(echo) as port:
            box = await core.create()
            connection = await box.connect(port)
            assert box.machine is not None
            await box.machine.vm.kill()
            with pytest.raises(trio.BrokenResourceError):
                await connection.receive_some()
            assert isinstance(connection.fault, ChannelError)

    run(case)


# published ports


async def create(core: Core, port: int, host_port: int = 0, name: str = "box") -> Sandbox:
    return await core.create(name, replace(CONFIG, publish=((HOST, host_port, port),)))


def test_a_published_port_leads_there_while_the_sandbox_runs(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core, program(echo) as port:
            box = await create(core, port)
            (found,) = box.ports.all()
            assert found.listening
            assert await exchange(found.host_port, b"one") == b"one"
            await box.stop(force=True)
            assert [one.listening for one in box.ports.all()] == [False]
            with pytest.raises(OSError, match="all attempts to connect"):
                await trio.open_tcp_stream(HOST, found.host_port)
            await core.start(box)
            assert [one.host_port for one in box.ports.all()] == [found.host_port]
            assert await exchange(found.host_port, b"two") == b"two"
            await box.restart(core.lines.append, force=True, cold=True)
            assert await exchange(found.host_port, b"three") == b"three"

    run(case)


def test_a_sandbox_whose_port_is_taken_is_not_made_and_not_started(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core, program(echo) as port:
            box = await create(core, port)
            taken = box.ports.all()[0].host_port
            with pytest.raises(AlreadyExists, match=f":{taken} cannot lead to port 80 of other"):
                await create(core, 80, taken, "other")
            assert [each.name for each in core.fleet.all()] == ["box"]
            await box.stop(force=True)
            other = await create(core, 80, taken, "other")
            with pytest.raises(AlreadyExists, match="of box: something listens"):
                await core.start(box)
            assert box.state is State.STOPPED
            await other.stop(force=True)
            await core.start(box)
            assert await exchange(taken, b"again") == b"again"

    run(case)


def test_the_next_core_listens_again_as_soon_as_it_can(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with program(echo) as port:
            async with lab.core() as core:
                box = await create(core, port)
                number = box.ports.all()[0].host_port
                client = await trio.open_tcp_stream(HOST, number)
                await client.send_all(b"x")
                assert await client.receive_some() == b"x"
            async with client:
                with pytest.raises(trio.BrokenResourceError):  # not an end: a reset
                    await client.receive_some()
            async with lab.core() as core:
                await until(lambda: core.fleet.get("box").ports.all()[0].listening)
                assert await exchange(number, b"back") == b"back"
            with socket.create_server((HOST, number)):
                async with lab.core() as core:
                    box = core.fleet.get("box")
                    await until(lambda: box.ports.fault is not None and box.trouble == box.ports.fault)
                    assert box.trouble == (
                        f"127.0.0.1:{number} cannot lead to port {port} of box: "
                        f"something listens on port {number} already"
                    )
            async with lab.core() as core:
                box = core.fleet.get("box")
                await until(lambda: box.ports.all()[0].listening and box.trouble is None)

    run(case)


def test_a_core_that_finds_its_port_taken_has_it_when_it_is_free(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with program(echo) as port:
            async with lab.core() as core:
                number = (await create(core, port)).ports.all()[0].host_port
            with socket.create_server((HOST, number)) as squatter:
                async with lab.core() as core:
                    box = core.fleet.get("box")
                    await until(lambda: box.ports.fault is not None)
                    squatter.close()
                    await until(lambda: box.ports.all()[0].listening)
                    assert box.ports.fault is None
                    assert await exchange(number, b"mine") == b"mine"

    run(case)


# clients


def test_a_clients_connection(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch) as core, program(echo) as port:
            await core.create()
            async with await (await Client.get("box")).connect(port) as connection:
                assert connection.address == HOST
                await connection.send_all(b"hello")
                assert await connection.receive_some(3) == b"hel"
                assert await connection.receive_some() == b"lo"
                await connection.send_eof()
                assert await connection.receive_some() == b""
                with pytest.raises(WrongState, match="the end of this connection"):
                    await connection.send_all(b"more")

    run(case)


def test_a_client_sends_and_receives_more_than_any_window(
    run: RunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch) as core, program(echo) as port:
            await core.create()
            sent, received = bytes(range(256)) * 16384, bytearray()
            async with await (await Client.get("box")).connect(port) as connection:

                async def send() -> None:
                    await connection.send_all(sent)
                    await connection.send_eof()

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send)
                    while data := await connection.receive_some():
                        received += data
            assert bytes(received) == sent

    run(case)


def test_what_a_client_sent_before_it_closed_arrives(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    got = bytearray()
    ended = trio.Event()

    async def listener(stream: trio.SocketStream) -> None:
        async for data in stream:
            got.extend(data)
        ended.set()

    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch) as core, program(listener) as port:
            box = await core.create()
            async with await (await Client.get("box")).connect(port) as connection:
                await connection.send_all(bytes(200_000))
            with trio.fail_after(PATIENCE):
                await ended.wait()
            assert len(got) == 200_000
            await until(lambda: not _connections(box))

    run(case)


def test_a_client_that_goes_away_resets_a_program_that_goes_on_sending(
    run: RunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = trio.Event()

    async def chatty(stream: trio.SocketStream) -> None:
        try:
            while True:
                await stream.send_all(bytes(1 << 16))
        except trio.BrokenResourceError:
            broken.set()

    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch) as core, program(chatty) as port:
            await core.create()
            async with await (await Client.get("box")).connect(port) as connection:
                assert await connection.receive_some()
            with trio.fail_after(PATIENCE):
                await broken.wait()

    run(case)


def test_what_a_client_is_told(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch) as core, program(echo) as port:
            box = await core.create()
            client = await Client.get("box")
            with pytest.raises(ConnectionRefused, match="nothing listens on port"):
                await client.connect(await nobody())
            with pytest.raises(InvalidRequest, match="port must be a whole number from 1 to 65535"):
                await client.connect(0)
            connection = await client.connect(port)
            assert box.machine is not None
            await box.machine.vm.kill()
            with pytest.raises(ChannelError, match=f"the connection to port {port} of box broke"):
                await connection.receive_some()
            with pytest.raises(ChannelError, match="broke"):
                await connection.send_all(b"x")
            await connection.aclose()
            with pytest.raises(WrongState, match="connect to port"):
                await client.connect(port)

    run(case)


def test_a_connection_does_not_outlive_its_core(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(lab: Lab) -> None:
        async with program(echo) as port:
            async with serving(lab, monkeypatch) as core:
                await core.create()
                client = await Client.get("box")
                connection = await client.connect(port)
            async with serving(lab, monkeypatch):
                with pytest.raises(ChannelError, match="broke: the core went away"):
                    await connection.receive_some()
                async with await client.connect(port) as another:
                    await another.send_all(b"on")
                    assert await another.receive_some() == b"on"

    run(case)
