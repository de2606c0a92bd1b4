"""TCP connections into the guest, by the real agent as a process of this host: to servers of the test's own."""

from __future__ import annotations

import errno
import os
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.wire import Data, ProtocolError
from sandtop.agent.wire.limits import FIRST_CONNECTION, MAX_CONNECTIONS

from .core_side import Pipe

if TYPE_CHECKING:
    from collections.abc import Generator

    from .conftest import HostedAgent
    from .core_side import CoreSide

_LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@contextmanager
def listening(
    family: socket.AddressFamily = socket.AF_INET, backlog: int = 128
) -> Generator[tuple[socket.socket, int]]:
    """A program that listens, and its port."""
    with socket.socket(family) as listener:
        listener.bind((_LOOPBACK[family], 0))
        listener.listen(backlog)
        listener.settimeout(20)
        yield listener, listener.getsockname()[1]


def accepted(listener: socket.socket) -> socket.socket:
    program, _ = listener.accept()
    program.settimeout(20)
    return program


def read_all(program: socket.socket) -> bytes:
    data = bytearray()
    while piece := program.recv(1 << 16):
        data += piece
    return bytes(data)


def until_sent(core: CoreSide, pipe: Pipe) -> None:
    core.wait(lambda: pipe.send.finished and pipe.send.eof_sent)


def test_the_hello_says_that_it_connects(core: CoreSide) -> None:
    assert core.hellos[-1]["connects"] is True


def test_bytes_go_both_ways_and_each_side_ends_alone(core: CoreSide) -> None:
    with listening() as (listener, port):
        pipe = core.connected(port)
        assert pipe.address == "127.0.0.1"
        with accepted(listener) as program:
            core.put(pipe, b"question", end=True)
            until_sent(core, pipe)
            assert read_all(program) == b"question"
            program.sendall(b"answer")
            core.wait(lambda: bytes(pipe.data) == b"answer")
            assert not pipe.ended
            program.shutdown(socket.SHUT_WR)
            core.wait(lambda: pipe.ended)


def test_the_program_may_end_first(core: CoreSide) -> None:
    with listening() as (listener, port):
        pipe = core.connected(port)
        with accepted(listener) as program:
            program.sendall(b"hello")
            program.shutdown(socket.SHUT_WR)
            core.wait(lambda: pipe.ended)
            core.put(pipe, b"and goodbye", end=True)
            until_sent(core, pipe)
            assert read_all(program) == b"and goodbye"
    assert bytes(pipe.data) == b"hello"


def test_a_program_on_ipv6_alone_is_found(core: CoreSide) -> None:
    with listening(socket.AF_INET6) as (listener, port):
        pipe = core.connected(port)
        assert pipe.address == "::1"
        accepted(listener).close()
        core.put(pipe, b"", end=True)
        core.wait(lambda: pipe.ended)
        until_sent(core, pipe)


def test_where_nothing_listens(core: CoreSide) -> None:
    with listening() as (_, port):
        pass
    pipe = core.connect(port)
    core.wait(lambda: pipe.failure is not None)
    assert pipe.failure is not None
    assert pipe.failure["code"] == "refused"
    assert pipe.failure["message"] == os.strerror(errno.ECONNREFUSED)


def test_one_that_does_not_come_to_stand_in_time(core: CoreSide) -> None:
    with listening(backlog=0) as (listener, port), ExitStack() as held:
        while True:  # until its queue is full: then its kernel answers nothing
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect((_LOOPBACK[socket.AF_INET], port))
            except TimeoutError:
                break
        pipe = core.connect(port, timeout_ms=100)
        core.wait(lambda: pipe.failure is not None)
        assert pipe.failure is not None
        assert pipe.failure["code"] == "timeout"
        assert listener.fileno() >= 0


def test_a_reset_by_the_program_is_told(core: CoreSide) -> None:
    with listening() as (listener, port):
        pipe = core.connected(port)
        program = accepted(listener)
        program.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        program.close()
        core.wait(lambda: pipe.failure is not None)
        assert pipe.failure is not None
        assert pipe.failure["code"] == "reset"


def test_a_reset_by_the_core_reaches_the_program(core: CoreSide) -> None:
    with listening() as (listener, port):
        pipe = core.connected(port)
        with accepted(listener) as program:
            core.disconnect(pipe)
            core.ping()
            with pytest.raises(ConnectionResetError):
                program.recv(1)


def test_all_of_many_bytes_arrive_each_way(core: CoreSide) -> None:
    sent = os.urandom(3 << 20)
    with listening() as (listener, port), ThreadPoolExecutor(2) as threads:
        pipe = core.connected(port, window=64 << 10)
        with accepted(listener) as program:
            core.put(pipe, sent, end=True)
            received = threads.submit(read_all, program)
            threads.submit(program.sendall, sent)
            core.wait(lambda: len(pipe.data) == len(sent) and pipe.send.finished)
            assert received.result(20) == sent
            program.shutdown(socket.SHUT_WR)
            core.wait(lambda: pipe.ended)
            until_sent(core, pipe)
    assert bytes(pipe.data) == sent


def test_a_program_that_reads_nothing_holds_up_no_other(core: CoreSide) -> None:
    with listening() as (listener, port):
        stalled = core.connected(port)
        with accepted(listener) as program:
            core.put(stalled, bytes(32 << 20))
            core.wait(lambda: stalled.send.limit > 1 << 20)
            core.ping()  # what the socket and the agent hold is full by then, or nearly so
            other = core.connected(port)
            with accepted(listener) as awake:
                core.put(other, b"ping", end=True)
                until_sent(core, other)
                assert read_all(awake) == b"ping"
            core.wait(lambda: other.ended)
            assert stalled.send.acked < 32 << 20
            assert program.recv(1)
        core.wait(lambda: stalled.failure is not None)  # it was closed with bytes unread: a reset


def test_a_core_that_takes_nothing_holds_up_no_other_and_wakes_nobody(
    agent: HostedAgent, core: CoreSide
) -> None:
    with listening() as (listener, port):
        stalled = core.connected(port, window=1000)
        stalled.frozen = True
        with accepted(listener) as program:
            program.sendall(bytes(50_000))
            program.shutdown(socket.SHUT_WR)
            core.put(stalled, b"", end=True)
            until_sent(core, stalled)  # both sides are shut, with bytes unread: epoll would say so for ever
            core.wait(lambda: stalled.intake.size == 1000)
            before = agent.busy()
            core.serve(0.5)
            assert agent.busy() - before < 0.3
            run = core.shell("echo hello")
            assert run.stdout == b"hello\n"
            core.drain(stalled)
            core.wait(lambda: stalled.ended)
        assert bytes(stalled.data) == bytes(50_000)


def test_a_new_link_ends_them(core: CoreSide) -> None:
    with listening() as (listener, port):
        core.connected(port)
        with accepted(listener) as program:
            core.pipes.clear()
            core.outbox = type(core.outbox)()
            core.link()
            with pytest.raises(ConnectionResetError):
                program.recv(1)


def test_as_many_as_there_can_be(core: CoreSide) -> None:
    with listening(backlog=MAX_CONNECTIONS) as (listener, port):
        pipes = [core.connect(port) for _ in range(MAX_CONNECTIONS)]
        core.wait(lambda: all(pipe.address is not None for pipe in pipes))
        programs = [accepted(listener) for _ in pipes]
        more = core.connect(port)
        core.wait(lambda: more.failure is not None)
        assert more.failure is not None
        assert more.failure["code"] == "limit"
        for program in programs:
            program.sendall(b"x")
        core.wait(lambda: all(bytes(pipe.data) == b"x" for pipe in pipes))
        for program in programs:
            program.close()
        for pipe in pipes:
            core.put(pipe, b"", end=True)
        core.wait(lambda: all(pipe.ended and pipe.send.eof_sent for pipe in pipes))


def test_more_than_there_is_credit_for_ends_the_link(core: CoreSide, agent: HostedAgent) -> None:
    with listening() as (listener, port):
        pipe = core.connected(port)
        with accepted(listener) as program:
            core.wait(lambda: pipe.send.limit > 0)
            core.send_now(Data(pipe.number, pipe.send.limit, b"x"))
            agent.says("the link to the core was dropped")
            with pytest.raises(ConnectionResetError):
                program.recv(1)
    core.pipes.clear()
    core.outbox = type(core.outbox)()
    core.link()


def test_frames_of_one_that_is_gone_are_nothing(core: CoreSide) -> None:
    core.send_now(Data(FIRST_CONNECTION + 77_777, 0, b"late"))
    core.send({"type": "disconnect", "n": FIRST_CONNECTION + 77_777})
    assert core.ping() >= 0


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 5, "port": 80, "timeout_ms": 1000},
        {"n": FIRST_CONNECTION, "port": 0, "timeout_ms": 1000},
        {"n": FIRST_CONNECTION, "port": 70_000, "timeout_ms": 1000},
        {"n": FIRST_CONNECTION, "port": 80},
    ],
)
def test_a_request_that_makes_no_sense_ends_the_link(
    core: CoreSide, agent: HostedAgent, fields: dict[str, int]
) -> None:
    core.send({"type": "connect", **fields})
    core.flush()
    agent.says("the link to the core was dropped: 'connect'")
    core.link()


def test_the_core_side_of_the_tests_keeps_to_the_protocol() -> None:
    """That what it takes is bounded by what it gave credit for: else the tests above would prove nothing."""
    pipe = Pipe(FIRST_CONNECTION, 10)
    pipe.intake.begin()
    with pytest.raises(ProtocolError):
        pipe.intake.take(0, bytes(11))
