"""Who is let in at the agent's vsock port. The listener is a Unix socket here, and says which CID its callers have;
`tests/vm/test_vsock.py` has the kernel's own."""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from sandtop.agent import vsock
from sandtop.agent.loop import Loop
from sandtop.agent.port import Port
from sandtop.agent.vsock import HOST_CID, Door, port_of
from sandtop.agent.wire import MARKER_LENGTH, Control, Outbox, answer, encode, marker, nonce_of

from .core_side import CoreSide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandtop.agent.wire import Frame

TOKEN, NONCE = "a" * 32, "b" * 32
WRONG = "c" * 32


class Peer:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def link_began(self) -> None:
        self.told.append("began")

    def link_ended(self, reason: str) -> None:
        self.told.append(f"ended {reason}".strip())

    def frame(self, frame: Frame) -> None:
        assert isinstance(frame, Control)
        self.told.append(str(frame.message["type"]))


class House:
    """A loop with a port and a door. ``cid`` is that of whoever calls next."""

    def __init__(self, folder: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cid = HOST_CID
        self.loop, self.peer, self.outbox = Loop(), Peer(), Outbox()
        self.inside, self.port = socket.socketpair()
        self._path = str(folder / "door")
        self._stack = stack
        self.inside.setblocking(False)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(self._path)
        listener.listen(64)
        listener.setblocking(False)
        for each in (self.inside, self.port):
            stack.enter_context(each)

        def accept(_listener: object) -> tuple[int, int]:
            connection, _ = listener.accept()
            return connection.detach(), self.cid

        monkeypatch.setattr(vsock, "_accept", accept)
        serial = Port(self.loop, self.inside.fileno(), self.outbox, self.peer)
        self.door = Door(self.loop, listener, serial, self.outbox, self.peer)
        self.loop.after_turn = self.door.flush

    def call(self, said: bytes = b"") -> socket.socket:
        """Connect, and say that."""
        caller = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        caller.connect(self._path)
        caller.setblocking(False)
        if said:
            caller.sendall(said)
        return caller

    def until(self, what: Callable[[], object]) -> None:
        end = time.monotonic() + 10
        while not what():
            assert time.monotonic() < end
            self.loop.call_in(0.01, lambda: None)
            self.loop.turn()

    def introduce(self) -> None:
        """Have it learn the secret, as a core does."""
        self.port.sendall(marker(TOKEN, NONCE))
        self.until(lambda: "began" in self.peer.told)
        self.until(lambda: select.select([self.port], [], [], 0)[0])
        assert self.port.recv(4096) == answer(NONCE.encode())
        self.peer.told.clear()

    def hears(self, caller: socket.socket) -> bytes | None:
        """What comes to ``caller``; empty when it was hung up on."""
        got: list[bytes] = []

        def came() -> bool:
            try:
                got.append(caller.recv(4096))
            except BlockingIOError:
                return False
            except ConnectionResetError:
                got.append(b"")
            return True

        self.until(came)
        return got[0]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, stack, monkeypatch)


def test_a_core_that_knows_the_secret_has_a_link(house: House) -> None:
    house.introduce()
    core = house.call(marker(TOKEN, NONCE) + encode(Control({"type": "ping"})))
    assert house.hears(core) == answer(NONCE.encode())
    house.until(lambda: house.peer.told == ["began", "ping"])
    house.outbox.control({"type": "pong"})
    assert b"pong" in (house.hears(core) or b"")
    core.close()
    house.until(lambda: house.peer.told == ["began", "ping", "ended"])


def test_a_marker_may_come_byte_by_byte(house: House) -> None:
    house.introduce()
    core = house.call()
    for byte in marker(TOKEN, NONCE):
        core.send(bytes([byte]))
        house.loop.soon(lambda: None)
        house.loop.turn()
    assert house.hears(core) == answer(NONCE.encode())


@pytest.mark.parametrize(
    "said",
    [
        marker(WRONG, NONCE),
        marker(TOKEN[:-1] + "0", NONCE),
        b"x" + marker(TOKEN, NONCE),
        marker(TOKEN, NONCE)[:-1] + b"\0",
        marker(TOKEN, NONCE).replace(b"SYNC", b"sync"),
        b"GET / HTTP/1.1\r\nHost: sandbox\r\n" * 8,
    ],
)
def test_whoever_says_anything_else_is_hung_up_on_without_a_word(house: House, said: bytes) -> None:
    house.introduce()
    assert house.hears(house.call(said)) == b""
    assert house.peer.told == []


def test_before_it_knows_a_secret_nobody_is_let_in(house: House) -> None:
    assert house.hears(house.call(marker(TOKEN, NONCE))) == b""
    house.introduce()
    assert house.hears(house.call(marker(WRONG, NONCE))) == b"", "and no marker teaches it one"
    assert house.hears(house.call(marker(TOKEN, NONCE))) == answer(NONCE.encode())


def test_the_guests_own_processes_are_not_heard(house: House) -> None:
    house.introduce()
    for cid in (1, 3, 77):
        house.cid = cid
        assert house.hears(house.call(marker(TOKEN, NONCE))) == b""
    assert house.peer.told == []


def test_who_says_too_little_has_a_deadline(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vsock, "_PATIENCE", 0.05)
    house.introduce()
    for said in (b"", marker(TOKEN, NONCE)[:-1]):
        assert house.hears(house.call(said)) == b""


def test_who_holds_many_connections_open_keeps_no_core_out_and_costs_little(house: House) -> None:
    house.introduce()
    before = len(os.listdir("/proc/self/fd"))
    crowd = [house.call(marker(TOKEN, NONCE)[:10]) for _ in range(60)]
    assert house.hears(house.call(marker(TOKEN, NONCE))) == answer(NONCE.encode())
    held = len(os.listdir("/proc/self/fd")) - before - len(crowd)
    assert held <= vsock._AT_THE_DOOR + 2  # pyright: ignore[reportPrivateUsage] - and both ends of the link
    assert house.hears(crowd[0]) == b""


def test_a_connection_that_was_a_ghosts_is_none(house: House) -> None:
    house.introduce()
    house.call().close()
    house.call(marker(TOKEN, NONCE)[:40]).close()
    core = house.call(marker(TOKEN, NONCE))
    assert house.hears(core) == answer(NONCE.encode())
    assert house.peer.told == ["began"]


def test_one_link_at_a_time_wherever_it_begins(house: House) -> None:
    house.introduce()
    first = house.call(marker(TOKEN, NONCE))
    assert house.hears(first) == answer(NONCE.encode())
    second = house.call(marker(TOKEN, "d" * 32))
    assert house.hears(second) == answer(b"d" * 32)
    assert house.hears(first) == b""
    house.port.sendall(marker(TOKEN, "e" * 32))
    assert house.hears(second) == b""
    assert house.hears(house.port) == answer(b"e" * 32)
    assert house.peer.told == ["began"] * 3, "no end: each link forgets the one before"
    third = house.call(marker(TOKEN, "f" * 32))
    assert house.hears(third) == answer(b"f" * 32)
    house.door.drop("a fault")
    assert house.hears(third) == b""
    assert house.peer.told[-1] == "ended a fault"


def test_what_a_core_does_not_read_waits_and_arrives(house: House) -> None:
    house.introduce()
    core = house.call(marker(TOKEN, NONCE))
    assert house.hears(core) == answer(NONCE.encode())
    message: dict[str, object] = {"type": "pong", "seq": "x" * 60_000}
    for _ in range(40):
        house.outbox.control(message)
    expected, got = encode(Control(message)) * 40, bytearray()

    def all_there() -> bool:
        try:
            got.extend(core.recv(1 << 16))
        except BlockingIOError:
            return False
        return len(got) >= len(expected)

    house.until(all_there)
    assert got == expected


def test_a_core_that_breaks_the_protocol_loses_its_link(house: House) -> None:
    house.introduce()
    core = house.call(marker(TOKEN, NONCE) + b"\xff" * 100)
    house.until(lambda: len(house.peer.told) == 2)
    assert house.peer.told[0] == "began"
    assert house.peer.told[1].startswith("ended ")
    house.until(lambda: not _open(core))


def _open(caller: socket.socket) -> bool:
    try:
        return caller.recv(4096) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def test_too_few_descriptors_are_no_reason_to_turn_all_the_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vsock, "_REST", 0.2)
    house.introduce()
    right = vsock._accept  # pyright: ignore[reportPrivateUsage]
    tries: list[float] = []

    def none_left(listener: object) -> tuple[int, int]:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise OSError(24, "Too many open files")
        return right(listener)  # type: ignore[arg-type]

    monkeypatch.setattr(vsock, "_accept", none_left)
    assert house.hears(house.call(marker(TOKEN, NONCE))) == answer(NONCE.encode())
    assert tries[2] - tries[0] > 0.3


def test_the_port_is_in_the_kernels_arguments() -> None:
    assert port_of(b"console=ttyS0 sandtop.vsock=1023 quiet\n") == 1023
    for none in (b"console=ttyS0\n", b"sandtop.vsock=\n", b"sandtop.vsock=x\n", b"xsandtop.vsock=7\n"):
        assert port_of(none) is None


def test_a_nonce_is_that_of_a_right_marker() -> None:
    right = marker(TOKEN, NONCE)
    assert len(right) == MARKER_LENGTH
    assert nonce_of(right, TOKEN.encode()) == NONCE.encode()
    for token in (WRONG.encode(), b"", None):
        assert nonce_of(right, token) is None
    for at in range(MARKER_LENGTH):
        wrong = right[:at] + bytes([right[at] ^ 0x80]) + right[at + 1 :]
        assert nonce_of(wrong, TOKEN.encode()) is None


def test_a_core_speaks_over_either(house: House) -> None:
    """`CoreSide`, with which the agent's own suite speaks, needs nothing else."""
    house.introduce()
    core = CoreSide(house.call(), TOKEN)
    core.send_raw(marker(TOKEN, NONCE))
    assert house.hears(core.sock) == answer(NONCE.encode())
