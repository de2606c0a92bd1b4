"""The QMP client: on real QEMU, and as the victim of a peer that is not."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import tracemalloc
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtop.core.errors import MachineError
from sandtop.core.machine.nursery import background
from sandtop.core.machine.qemu.descriptors import remove_runtime
from sandtop.core.machine.qemu.process import launch
from sandtop.core.machine.qemu.qmp import EVENT_BYTES, EVENTS, LINE_BYTES, QmpClient, QmpRefused, connect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from sandtop.core.machine.qemu.program import Qemu

    from .conftest import MakeSpec, Place

    Peer = Callable[[trio.SocketStream], Awaitable[None]]

pytestmark = pytest.mark.anyio

GREETING = b'{"QMP": {"version": {"qemu": {"micro": 3, "minor": 1, "major": 9}}, "capabilities": []}}\n'


# ---- real QEMU


@asynccontextmanager
async def paused_machine(make_spec: MakeSpec, place: Place, qemu: Qemu) -> AsyncGenerator[Path]:
    """The QMP socket of a machine that never runs."""
    with await launch(make_spec(), place.runtime, qemu=qemu.path) as child:
        try:
            yield place.runtime / "qmp"
        finally:
            with trio.CancelScope(shield=True):
                await child.kill()
            remove_runtime(place.runtime)


async def test_commands_refusals_events_and_a_second_connection(
    make_spec: MakeSpec, place: Place, qemu: Qemu
) -> None:
    async with paused_machine(make_spec, place, qemu) as path:
        async with connect(path, "box") as client:
            with pytest.raises(QmpRefused, match="nosuch") as caught:
                await client.execute("nosuch")
            assert caught.value.sandbox == "box"
            assert isinstance(await client.execute("query-qmp-schema"), list)
            await client.execute("cont")
            await client.execute("stop")
            assert [(await client.events.receive()).name for _ in range(2)] == ["RESUME", "STOP"]
        with pytest.raises(MachineError):
            await client.execute("query-status")
        async with connect(path, "box") as client:
            assert await client.execute("query-kvm") == {"enabled": False, "present": True}


async def test_a_descriptor_crosses(make_spec: MakeSpec, place: Place, qemu: Qemu) -> None:
    # migrating to a descriptor is how a template is saved: QEMU must write into *our* file
    async with paused_machine(make_spec, place, qemu) as path, connect(path, "box") as client:
        with tempfile.TemporaryFile() as file:
            await client.pass_descriptor("state", file.fileno())
            capabilities = [{"capability": "events", "state": True}]
            await client.execute("migrate-set-capabilities", capabilities=capabilities)
            await client.execute("migrate", uri="fd:state")
            with trio.fail_after(20):
                states = [(await client.events.receive()).data.get("status")]
                while states[-1] not in ("completed", "failed"):
                    states.append((await client.events.receive()).data.get("status"))
            assert states[-1] == "completed"
            assert os.pread(file.fileno(), 4, 0) == b"QEVM"


async def test_a_command_that_is_cancelled_harms_no_other(
    make_spec: MakeSpec, place: Place, qemu: Qemu
) -> None:
    async with paused_machine(make_spec, place, qemu) as path, connect(path, "box") as client:
        for patience in (0, 0.0001, 0.001):
            with trio.move_on_after(patience):
                await client.execute("query-qmp-schema")
        assert isinstance(await client.execute("query-status"), dict)


async def test_answers_find_their_questions(make_spec: MakeSpec, place: Place, qemu: Qemu) -> None:
    async with paused_machine(make_spec, place, qemu) as path, connect(path, "box") as client:
        found: dict[str, object] = {}

        async def ask(command: str) -> None:
            found[command] = await client.execute(command)

        commands = [
            "query-uuid",
            "query-status",
            "query-name",
            "query-version",
            "query-block",
            "query-chardev",
        ]
        async with trio.open_nursery() as nursery:
            for command in commands:
                nursery.start_soon(ask, command)
        for command in commands:
            assert found[command] == await client.execute(command)


# ---- a hostile peer


async def against(peer: Peer, victim: Callable[[QmpClient], Awaitable[None]]) -> None:
    """Run ``victim`` on a client whose peer, once it has been greeted and sent its capabilities away, is ``peer``."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(GREETING)
        asked = json.loads(await stream.receive_some())
        await stream.send_all(json.dumps({"return": {}, "id": asked["id"]}).encode() + b"\n")
        await peer(stream)

    await against_anything(serve, victim)


async def against_anything(serve: Peer, victim: Callable[[QmpClient], Awaitable[None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "qmp"
        with trio.socket.socket(socket.AF_UNIX) as listener:
            await listener.bind(str(path))
            listener.listen(1)

            async def once() -> None:
                async with trio.SocketStream((await listener.accept())[0]) as stream:
                    try:
                        await serve(stream)
                        await trio.sleep_forever()
                    except trio.BrokenResourceError:
                        return

            async with background(once), connect(path, "box", deadline=2) as client:
                await victim(client)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
MESSAGE = st.dictionaries(
    st.sampled_from(["return", "error", "event", "data", "id", "QMP", "timestamp"]),
    JSON | st.integers(0, 4) | st.just("STOP"),
    max_size=5,
).map(lambda message: json.dumps(message).encode() + b"\n")
CHUNK = (
    st.binary(max_size=200)
    | MESSAGE
    | st.just(b"[" * 100_000 + b"\n")
    | st.just(b'{"id": 1' + b"0" * 5000 + b"}\n")
)


@given(chunks=st.lists(CHUNK, max_size=12), close=st.booleans())
@settings(max_examples=60)
def test_whatever_comes_is_an_answer_or_one_error(chunks: list[bytes], close: bool) -> None:
    async def peer(stream: trio.SocketStream) -> None:
        for chunk in chunks:
            await stream.send_all(chunk)
        if close:
            await stream.aclose()

    async def victim(client: QmpClient) -> None:
        broken: list[str] = []
        for _ in range(3):
            try:
                await client.execute("query-status", deadline=0.02)
            except QmpRefused:
                continue
            except MachineError as error:
                broken.append(str(error))
        if client.ended.is_set():
            assert len({reason for reason in broken if "did not answer" not in reason}) <= 1
        assert len(str(client.shutdown)) <= 200

    trio.run(against, peer, victim)


async def test_a_line_without_end_is_cut_off_and_costs_no_memory() -> None:
    async def peer(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(b"x" * 65536)

    async def victim(client: QmpClient) -> None:
        tracemalloc.start()
        try:
            with trio.fail_after(10):
                await client.ended.wait()
            assert tracemalloc.get_traced_memory()[1] < 4 * LINE_BYTES
        finally:
            tracemalloc.stop()
        for _ in range(2):
            with pytest.raises(MachineError, match=f"a line longer than {LINE_BYTES} bytes"):
                await client.execute("query-status")

    await against(peer, victim)


async def test_a_flood_of_events_is_dropped_beyond_the_bound() -> None:
    flood = EVENTS + 1000

    async def peer(stream: trio.SocketStream) -> None:
        await stream.send_all(b'{"event": "STOP", "data": {"pad": "%s"}}\n' % (b"x" * 1000) * flood)
        await stream.aclose()

    async def victim(client: QmpClient) -> None:
        with trio.fail_after(10):
            await client.ended.wait()
        assert client.dropped_events == flood - EVENTS
        assert len([event async for event in client.events]) == EVENTS

    await against(peer, victim)


async def test_an_event_too_long_ends_the_connection() -> None:
    async def peer(stream: trio.SocketStream) -> None:
        await stream.send_all(b'{"event": "STOP", "data": {"pad": "%s"}}\n' % (b"x" * EVENT_BYTES))

    async def victim(client: QmpClient) -> None:
        with trio.fail_after(20):
            await client.ended.wait()
        with pytest.raises(MachineError, match=f"an event longer than {EVENT_BYTES} bytes"):
            await client.execute("query-status")

    await against(peer, victim)


async def test_an_answer_that_does_not_come_is_an_error_at_the_deadline() -> None:
    async def peer(stream: trio.SocketStream) -> None:
        await stream.send_all(b'{"return": "for somebody else", "id": 77}\n')

    async def victim(client: QmpClient) -> None:
        with pytest.raises(MachineError, match=r"did not answer query-status within 0\.05 s"):
            await client.execute("query-status", deadline=0.05)

    await against(peer, victim)


async def test_a_peer_that_stops_reading_breaks_the_connection_and_not_the_client() -> None:
    async def peer(_stream: trio.SocketStream) -> None:
        """Reads nothing."""

    async def victim(client: QmpClient) -> None:
        # more than the socket's buffers hold, so that a command is cut in the middle
        with pytest.raises(MachineError, match="in the middle of a command"):
            await client.execute("query-status", deadline=3, pad="x" * 4_000_000)
        assert client.ended.is_set()

    await against(peer, victim)


async def test_the_greeting_tells_the_version() -> None:
    async def victim(client: QmpClient) -> None:
        assert client.release == (9, 1)

    await against(trio.SocketStream.send_eof, victim)


async def test_a_waiting_command_ends_with_the_connection() -> None:
    async def peer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.aclose()

    async def victim(client: QmpClient) -> None:
        with trio.fail_after(20), pytest.raises(MachineError, match="QEMU closed the QMP connection"):
            await client.execute("query-status", deadline=60)

    await against(peer, victim)


async def no_victim(_client: QmpClient) -> None:
    pytest.fail("it got a client")


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not JSON"),
        (b'{"event": "STOP"}\n', "a greeting that is not QMP's"),
        (b'{"QMP": {"version": {}, "capabilities": []}}\n', "a greeting that is not QMP's"),
        (
            GREETING + b'{"error": {"desc": "no \\u001b[3m"}, "id": 1}\n',
            r"refused qmp_capabilities: no \S\[3m",
        ),
        (b"[]\n", "not an object"),
    ],
)
async def test_what_is_no_monitor_is_said_to_be_none(said: bytes, complaint: str) -> None:
    async def peer(stream: trio.SocketStream) -> None:
        await stream.send_all(said)

    with pytest.raises(MachineError, match=complaint) as caught:
        await against_anything(peer, no_victim)
    assert "\x1b" not in str(caught.value)


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot reach QEMU's monitor: No such file"):
        async with connect(tmp_path / "qmp", "box") as client:
            await no_victim(client)
