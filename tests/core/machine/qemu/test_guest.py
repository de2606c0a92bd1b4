"""A real guest on a real QEMU: its devices, its console, its disks, its ends."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from tests.settings import SLOWER

from sandtop.core.channel import UnixSocket
from sandtop.core.machine import Network
from sandtop.core.machine.nursery import background
from sandtop.core.machine.qemu.descriptors import remove_runtime
from sandtop.core.machine.qemu.machine import QemuMachine, adopt, start

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from sandtop.core.machine.qemu.program import Qemu

    from .conftest import MakeSpec, Place

pytestmark = [pytest.mark.anyio, pytest.mark.vm]

BOOT = 60.0 * SLOWER
PROMPT = 10.0 * SLOWER


@asynccontextmanager
async def port_of(machine: QemuMachine) -> AsyncGenerator[trio.socket.SocketType]:
    """The agent's port, as the core would open it."""
    way = machine.agent()
    assert isinstance(way, UnixSocket)
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        await stream.connect(os.fsencode(way.path))
        yield stream


async def ask(port: trio.socket.SocketType, line: str, *, deadline: float = PROMPT) -> str:
    """Send the guest ``line`` and return the line that it answers."""
    with trio.fail_after(deadline):
        await port.send(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            data = await port.recv(4096)
            assert data, "QEMU closed the port"
            answer += data
        return answer.decode().strip()


async def test_a_guest_from_boot_to_a_violent_end(make_spec: MakeSpec, place: Place, qemu: Qemu) -> None:
    spec = make_spec()
    async with start(spec, runtime=place.runtime, console_log=place.console_log, qemu=qemu.path) as machine:
        async with port_of(machine) as port:
            assert await ask(port, "echo hello", deadline=BOOT) == "hello"
            assert await ask(port, "write survives") == "written"
            await _discards(port, spec.overlay)
        console = machine.console_tail()
        assert "disk image read-only 1 discard 0" in console
        assert "disk overlay read-only 0 discard " in console
        assert "links lo\n" in console
        assert "random virtio_rng.0" in console
        identity = machine.process.identity

    # as a core that was killed and came again finds it
    async with adopt(identity, "box", runtime=place.runtime, console_log=place.console_log) as machine:
        assert await machine.status() == "running"
        async with port_of(machine) as port:
            assert await ask(port, "echo again") == "again"
        os.kill(identity.pid, signal.SIGKILL)
        with trio.fail_after(2):
            end = await machine.exited()
        assert end.signal == signal.SIGKILL
        assert end.reason == "QEMU was killed by SIGKILL"
        assert machine.monitor.ended.is_set()

    assert spec.overlay.read_bytes().startswith(b"survives\n")
    remove_runtime(place.runtime)
    place.assert_empty(spec)


async def _discards(port: trio.socket.SocketType, overlay: Path) -> None:
    """What the guest discards takes no room on the host's disk."""
    assert await ask(port, "fill") == "filled"
    assert os.stat(overlay).st_blocks * 512 >= 4 << 20
    assert await ask(port, "discard") == "discarded"
    assert os.stat(overlay).st_blocks * 512 < 1 << 20


async def _reaches_the_host(port: trio.socket.SocketType) -> None:
    """The network of QEMU's own works under its filter and its uid: 10.0.2.2 is the host's loopback."""
    with trio.socket.socket() as listener:
        await listener.bind(("127.0.0.1", 0))
        listener.listen(1)

        async def serve() -> None:
            with (await listener.accept())[0] as stream:
                await stream.send(b"over the network\n")

        async with background(serve):
            assert await ask(port, f"fetch {listener.getsockname()[1]}") == "over the network"


async def test_a_guest_that_panics_says_so(make_spec: MakeSpec, place: Place, qemu: Qemu) -> None:
    spec = make_spec(network=Network.USER_AND_LOOPBACK, cpus=2)
    async with start(spec, runtime=place.runtime, console_log=place.console_log, qemu=qemu.path) as machine:
        async with port_of(machine) as port:
            assert await ask(port, "echo up", deadline=BOOT) == "up"
            assert "links eth0 lo\n" in machine.console_tail()
            await _reaches_the_host(port)
            await port.send(b"panic\n")
            with trio.fail_after(PROMPT):
                end = await machine.exited()
        assert (end.status, end.orderly) == (0, False)
        assert end.reason.startswith("the guest's kernel gave up: Kernel panic - not syncing: sysrq")
    remove_runtime(place.runtime)
    place.assert_empty(spec)


async def test_a_guest_that_switches_itself_off(make_spec: MakeSpec, place: Place, qemu: Qemu) -> None:
    spec = make_spec()
    async with start(spec, runtime=place.runtime, console_log=place.console_log, qemu=qemu.path) as machine:
        async with port_of(machine) as port:
            await port.send(b"off\n")
            with trio.fail_after(BOOT):
                death = await machine.wait()
        assert (death.reason, death.orderly) == ("the guest switched itself off", True)
    remove_runtime(place.runtime)
    place.assert_empty(spec)
