"""What passes between the kernel's FUSE and the host: a socket of messages stands for /dev/fuse, which has messages."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading

from sandtop.agent import relay
from sandtop.core.fuse import protocol

MESSAGES = socket.SOCK_SEQPACKET


def message(length: int, fill: bytes = b"x") -> bytes:
    return struct.pack("<IiQ", length, 0, 1) + fill * (length - 16)


def test_both_ends_mean_the_same() -> None:
    assert relay.PREAMBLE + struct.pack("<II", 7, 8) == protocol.PREAMBLE.pack(protocol.MAGIC, 7, 8)
    assert relay.REQUEST_BYTES == protocol.MAX_REQUEST


def test_each_answer_is_one_write() -> None:
    """However the bytes come: together, in pieces, and answers that are longer than the port hands over at once."""
    rng = random.Random(5)
    sizes = [16, 16, 144, 4096, 4097, 131_088, 16, 40_000, *(rng.randrange(16, 9000) for _ in range(200))]
    told = [message(size, bytes([n % 256])) for n, size in enumerate(sizes)]
    port, host = socket.socketpair()
    fuse, kernel = socket.socketpair(socket.AF_UNIX, MESSAGES)
    kernel.settimeout(30)
    with port, host, fuse, kernel:
        answered: list[int] = []

        def send() -> None:
            data = b"".join(told)
            while data:
                count = rng.choice((1, 15, 17, 4096, 5000, 70_000))
                host.sendall(data[:count])
                data = data[count:]
            host.shutdown(socket.SHUT_WR)

        def pass_on() -> None:
            relay.pass_answers(port.fileno(), fuse.fileno(), lambda: answered.append(1))

        helpers = [threading.Thread(target=each) for each in (send, pass_on)]
        for helper in helpers:
            helper.start()
        for expected in told:
            assert kernel.recv(200_000) == expected
        for helper in helpers:
            helper.join()
        assert answered == [1]


def test_requests_go_on_until_the_mount_has_ended() -> None:
    port, host = socket.socketpair()
    fuse, kernel = socket.socketpair(socket.AF_UNIX, MESSAGES)
    with port, host, fuse, kernel:
        told = [os.urandom(size) for size in (40, 56, 80_000, 4096)]
        for each in told:
            kernel.send(each)
        expected = b"".join(told)
        host.settimeout(30)

        helper = threading.Thread(target=relay.pass_requests, args=(fuse.fileno(), port.fileno()))
        helper.start()
        data = bytearray()
        while len(data) < len(expected):
            data += host.recv(1 << 20)
        assert data == expected
        kernel.close()
        helper.join(30)
        assert not helper.is_alive()
