"""Dialling vsock: what each failure is called, and when the links go over another way. No kernel's vsock is needed."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.agent.wire import VSOCK_PORT
from sandtop.core.channel import Hybrid, Kernel, UnixSocket, Vsock
from sandtop.core.channel.vsock import DIAL_DEADLINE, DialError
from sandtop.core.errors import ChannelError

from .hybrid import HybridVsock
from .scripted import TOKEN, listening, run, shake_hands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


async def echo(stream: trio.SocketStream) -> None:
    while data := await stream.receive_some(64):
        await stream.send_all(data)


class Refusing:
    """A dial that fails with one error after the other; then it says what it was asked."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = list(numbers)
        self.dials = 0

    async def __call__(self, port: int) -> trio.SocketStream:
        self.dials += 1
        await trio.lowlevel.checkpoint()
        raise DialError("no", self._numbers.pop(0))


def test_the_hypervisor_is_asked_for_the_port_and_what_follows_its_answer_is_the_guests(
    tmp_path: Path,
) -> None:
    async def talkative(stream: trio.SocketStream) -> None:
        await stream.send_all(b"at once")
        await echo(stream)

    async def main() -> None:
        server = HybridVsock({7: talkative})
        async with server.listening(tmp_path / "v"):
            stream = await Hybrid(tmp_path / "v")(7)
            async with stream:
                assert await stream.receive_some(64) == b"at once"
                await stream.send_all(b"and back")
                assert await stream.receive_some(64) == b"and back"
        assert server.asked == [b"CONNECT 7\n"]

    run(main)


def test_where_nobody_listens_the_hypervisor_hangs_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with HybridVsock({}).listening(tmp_path / "v"):
            with pytest.raises(
                DialError, match=r"port 9 by .*: nothing listens on the agent's port"
            ) as caught:
                await Hybrid(tmp_path / "v")(9)
            assert caught.value.number == errno.ECONNREFUSED

    run(main)


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(DialError, match=f"{tmp_path}/v cannot be opened: .*No such file"):
            await Hybrid(tmp_path / "v")(9)

    run(main)


@pytest.mark.parametrize(
    "said", [b"NO 7\n", b"OK seven\n", b"OK 1\r\n", b"\n", b"OK" + b"1" * 99, b"\xff" * 400]
)
def test_another_answer_is_none_and_is_not_read_for_ever(tmp_path: Path, said: bytes) -> None:
    async def liar(stream: trio.SocketStream) -> None:
        await stream.send_all(said)
        await echo(stream)

    async def main() -> None:
        async with listening(tmp_path, liar):
            with pytest.raises(DialError, match="no connection to port 7"):
                await Hybrid(tmp_path / "agent")(7)

    run(main, seconds=DIAL_DEADLINE + 1)


def test_a_hypervisor_that_does_not_answer_has_a_deadline(tmp_path: Path) -> None:
    async def silent(stream: trio.SocketStream) -> None:
        while await stream.receive_some(64):
            pass

    async def main() -> None:
        async with listening(tmp_path, silent):
            with pytest.raises(DialError, match="it does not answer") as caught:
                await Hybrid(tmp_path / "agent")(7)
            assert caught.value.number == errno.ETIMEDOUT

    run(main, seconds=DIAL_DEADLINE + 1)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ECONNREFUSED, "nothing listens"),
        (errno.ECONNRESET, "nothing listens on the agent's port, or the machine is gone"),
        (errno.ENODEV, "no machine of this host has that CID"),
        (errno.ETIMEDOUT, "it may be paused"),
        (errno.EAFNOSUPPORT, "no AF_VSOCK"),
        (errno.EPERM, "Operation not permitted"),
    ],
)
def test_each_error_of_the_kernel_says_what_is_the_matter(
    monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    closed: list[bool] = []

    class Fails:
        async def connect(self, address: tuple[int, int]) -> None:
            assert address == (77, VSOCK_PORT)
            await trio.lowlevel.checkpoint()
            raise OSError(number, os.strerror(number))

        def close(self) -> None:
            closed.append(True)

    def made(family: int, kind: int) -> Fails:
        assert (family, kind) == (socket.AF_VSOCK, socket.SOCK_STREAM)
        return Fails()

    monkeypatch.setattr("sandtop.core.channel.vsock.trio.socket.socket", made)

    async def main() -> None:
        with pytest.raises(DialError, match=f"port {VSOCK_PORT} of CID 77: .*{says}") as caught:
            await Kernel(77)(VSOCK_PORT)
        assert caught.value.number == number

    run(main)
    assert closed == [True]


def _agent_on_port(met: list[bool]) -> Callable[[trio.SocketStream], Awaitable[None]]:
    async def serve(stream: trio.SocketStream) -> None:
        met.append(await shake_hands(stream))
        await echo(stream)

    return serve


def test_the_agent_learns_the_secret_over_its_port_once_and_before_the_first_dial(tmp_path: Path) -> None:
    met: list[bool] = []

    async def main() -> None:
        server = HybridVsock({VSOCK_PORT: echo})
        async with listening(tmp_path, _agent_on_port(met)), server.listening(tmp_path / "v"):
            way = Vsock(Hybrid(tmp_path / "v"), UnixSocket(tmp_path / "agent"))
            for _ in range(3):
                async with await way.open(TOKEN) as stream:
                    await stream.send_all(b"hello")
                    assert await stream.receive_some(64) == b"hello"
        assert met == [True]
        assert way.refused is None

    run(main)


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.ENODEV, errno.EAFNOSUPPORT])
def test_links_go_over_the_port_for_good_when_no_dial_can_succeed(tmp_path: Path, number: int) -> None:
    async def main() -> None:
        async with listening(tmp_path, _agent_on_port([])):
            dial = Refusing(number)
            way = Vsock(dial, UnixSocket(tmp_path / "agent"), fall_back=True)
            for _ in range(2):
                await trio.aclose_forcefully(await way.open(TOKEN))
            assert (dial.dials, way.refused) == (1, "no")

    run(main)


def test_a_machine_that_stands_still_is_no_reason_to_leave_vsock(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, _agent_on_port([])):
            way = Vsock(
                Refusing(errno.ETIMEDOUT, errno.ETIMEDOUT), UnixSocket(tmp_path / "agent"), fall_back=True
            )
            for _ in range(2):
                with pytest.raises(ChannelError):
                    await way.open(TOKEN)
            assert way.refused is None

    run(main)


def test_whoever_asked_for_vsock_gets_it_or_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, _agent_on_port([])):
            way = Vsock(Refusing(errno.ENODEV), UnixSocket(tmp_path / "agent"))
            with pytest.raises(ChannelError):
                await way.open(TOKEN)
            assert way.refused is None

    run(main)


def test_a_port_that_ends_before_it_answers_is_an_error_and_the_secret_is_told_again(tmp_path: Path) -> None:
    met: list[bool] = []

    async def serve(stream: trio.SocketStream) -> None:
        met.append(True)
        if len(met) > 1:
            await shake_hands(stream)

    async def main() -> None:
        server = HybridVsock({VSOCK_PORT: echo})
        async with listening(tmp_path, serve), server.listening(tmp_path / "v"):
            way = Vsock(Hybrid(tmp_path / "v"), UnixSocket(tmp_path / "agent"))
            with pytest.raises(ChannelError, match="closed the channel"):
                await way.open(TOKEN)
            async with await way.open(TOKEN) as stream:
                await stream.send_all(b"hello")
                assert await stream.receive_some(64) == b"hello"
        assert len(met) == 2

    run(main)
