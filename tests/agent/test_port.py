"""The agent's end of the port, where what the driver says comes in an order that a socket would not have."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.device import Device
from sandtop.agent.loop import READ, WRITE, Loop
from sandtop.agent.port import Port
from sandtop.agent.wire import Outbox, answer, marker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandtop.agent.wire import Frame

TOKEN, NONCE = "a" * 32, "b" * 32


class Peer:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def link_began(self) -> None:
        self.told.append("began")

    def link_ended(self, reason: str) -> None:
        self.told.append("ended")

    def frame(self, frame: Frame) -> None:
        raise AssertionError(frame)


class Driver:
    """What read(2) and write(2) on the port give: bytes, nothing (no host is there), or EAGAIN."""

    def __init__(self) -> None:
        self.incoming = b""
        self.host = False
        self.full = False
        self.written = b""
        self.reads = 0

    def read(self, _fd: int, _size: int) -> bytes:
        self.reads += 1
        if self.incoming:
            data, self.incoming = self.incoming, b""
            return data
        if self.host:
            raise BlockingIOError
        return b""

    def write(self, _fd: int, data: bytes) -> int:
        if not self.host or self.full:
            raise BlockingIOError
        self.written += data
        return len(data)


@pytest.fixture
def descriptor() -> Iterator[int]:
    reader, writer = os.pipe()
    yield reader
    os.close(reader)
    os.close(writer)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setattr("sandtop.agent.port.os.read", driver.read)
    monkeypatch.setattr("sandtop.agent.port.os.write", driver.write)
    return driver


class Restarted(Device):
    """A device that is back at the second attempt to open it; its port takes something then."""

    def __init__(self, driver: Driver, descriptor: int) -> None:
        self.did: list[str] = []
        self._driver = driver
        self._descriptor = descriptor

    def restart(self) -> None:
        self.did.append("restart")
        self._driver.full = False

    def open(self) -> int:
        self.did.append("open")
        if self.did == ["restart", "open"]:
            raise FileNotFoundError
        return os.dup(self._descriptor)


def make(descriptor: int, device: Device | None = None) -> tuple[Loop, Port, Peer]:
    loop, peer = Loop(), Peer()
    port = Port(loop, descriptor, Outbox(), peer, device)
    loop.after_turn = port.flush
    return loop, port, peer


def test_a_marker_that_overtakes_the_news_of_its_host_is_answered(descriptor: int, driver: Driver) -> None:
    loop, port, peer = make(descriptor)
    driver.incoming = marker(TOKEN, NONCE)
    loop.turn()
    assert peer.told == ["began"]
    assert driver.written == b""
    driver.host = True
    loop.soon(lambda: port._ready(WRITE))  # pyright: ignore[reportPrivateUsage] - the pipe is not the driver
    loop.turn()
    assert driver.written == answer(NONCE.encode())
    assert peer.told == ["began"]


def test_a_host_that_goes_ends_its_link(descriptor: int, driver: Driver) -> None:
    loop, port, peer = make(descriptor)
    driver.host = True
    driver.incoming = marker(TOKEN, NONCE)
    loop.turn()
    assert driver.written == answer(NONCE.encode())
    driver.host = False
    loop.soon(lambda: port._ready(0))  # pyright: ignore[reportPrivateUsage] - the driver wakes the port's queue then
    loop.turn()
    assert peer.told == ["began", "ended"]


@pytest.mark.parametrize(("size", "reads"), [(10, 1), (4096, 2)])
def test_a_port_whose_host_was_seen_is_not_read_until_it_refuses(
    descriptor: int, driver: Driver, size: int, reads: int
) -> None:
    """A short piece is the last one that is there; the event comes again if not. Without a host it would never stop."""
    loop, port, _ = make(descriptor)
    driver.host = True
    driver.incoming = marker(TOKEN, NONCE)
    loop.turn()
    driver.reads = 0
    driver.incoming = bytes([0, 0, 255, 0]) + bytes(size - 4)  # the beginning of a frame
    loop.soon(lambda: port._ready(READ))  # pyright: ignore[reportPrivateUsage] - as above
    loop.turn()
    assert driver.reads == reads


def test_wake_ups_that_never_come_hold_nothing_up(
    descriptor: int, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandtop.agent.port._LOOK_AGAIN", 0.01)
    loop, _, peer = make(descriptor)
    loop.turn()
    driver.incoming = marker(TOKEN, NONCE)
    loop.turn()
    assert peer.told == ["began"]
    assert driver.written == b"", "no host has opened the port yet"
    driver.host = True
    loop.turn()
    assert driver.written == answer(NONCE.encode())


def stuck(descriptor: int, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> tuple[Loop, Restarted, Peer]:
    """A port whose host is there and has sent a marker, and that takes nothing."""
    monkeypatch.setattr("sandtop.agent.port._STUCK", 0.01)
    monkeypatch.setattr("sandtop.agent.port._REOPEN", 0.01)
    device = Restarted(driver, descriptor)
    loop, _, peer = make(os.dup(descriptor), device)
    driver.host = driver.full = True
    driver.incoming = marker(TOKEN, NONCE)
    loop.turn()
    assert driver.written == b""
    return loop, device, peer


def test_a_port_that_floods_while_its_driver_begins_anew(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was to be read on is no descriptor any more."""

    def flood(fd: int, _size: int) -> bytes:
        assert fd >= 0
        return bytes(4096)

    reader, writer = os.pipe()
    try:
        loop, device, peer = stuck(reader, driver, monkeypatch)
        monkeypatch.setattr("sandtop.agent.port.os.read", flood)
        while device.did[:1] != ["restart"]:
            with open(f"/proc/self/fd/{writer}", "wb", buffering=0) as pipe:
                pipe.write(b"!")
            loop.turn()
        assert peer.told == ["began", "ended"]
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.slow
def test_a_port_that_takes_nothing_begins_anew(
    descriptor: int, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, device, peer = stuck(descriptor, driver, monkeypatch)
    while device.did != ["restart", "open", "open"]:
        loop.turn()
    assert peer.told == ["began", "ended"]
    driver.incoming = marker(TOKEN, NONCE)
    loop.soon(lambda: None)
    while driver.written != answer(NONCE.encode()):
        loop.turn()
    assert peer.told == ["began", "ended", "began"]


def test_a_port_takes_nothing_without_a_host(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    try:
        loop, device, _ = stuck(reader, driver, monkeypatch)
        os.close(writer)  # as poll(2) has it of a port whose host is away
        loop.call_in(0.05, lambda: device.did.append("time"))
        while not device.did:
            loop.turn()
        assert device.did == ["time"]
    finally:
        os.close(reader)
