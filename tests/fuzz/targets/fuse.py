"""The server of a mounted folder, in the hands of a guest's kernel that keeps to nothing.

An input is what comes over its serial port. Whatever that is: nothing outside the folder changes or is read, every
request that is whole is answered with what an errno(3) can be, and what ends the server is `NotFuse`.
"""

from __future__ import annotations

import os
import socket
import struct
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.fuzz.target import Budget

from sandtop.core.fuse import protocol
from sandtop.core.fuse.folder import Folder
from sandtop.core.fuse.operations import Operations
from sandtop.core.fuse.protocol import ANSWER, REQUEST, NotFuse, Op
from sandtop.core.fuse.server import Server

if TYPE_CHECKING:
    import random

_SECRET: Final = b"SECRET-OUTSIDE"
_NAMES: Final = (
    b"file", b"sub", b"link", b"fifo", b"..", b".", b"", b"../outside/secret", b"a/b", b"new", b"\xff" * 255,
    b"x" * 300,
)  # fmt: skip
_NUMBERS: Final = (0, 1, 2, 3, 4, 5, 7, 4096, 131072, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1)
_STRUCTS: Final = (
    protocol.INIT_IN, protocol.GETATTR_IN, protocol.SETATTR_IN, protocol.MKNOD_IN, protocol.MKDIR_IN,
    protocol.RENAME_IN, protocol.RENAME2_IN, protocol.LINK_IN, protocol.OPEN_IN, protocol.CREATE_IN, protocol.READ_IN,
    protocol.RELEASE_IN, protocol.FSYNC_IN, protocol.LSEEK_IN, protocol.FORGET_IN, protocol.BATCH_FORGET_IN,
)  # fmt: skip
_LAYOUTS: Final = {
    Op.LOOKUP: (None, 1), Op.FORGET: (protocol.FORGET_IN, 0), Op.GETATTR: (protocol.GETATTR_IN, 0),
    Op.SETATTR: (protocol.SETATTR_IN, 0), Op.SYMLINK: (None, 2), Op.MKNOD: (protocol.MKNOD_IN, 1),
    Op.MKDIR: (protocol.MKDIR_IN, 1), Op.UNLINK: (None, 1), Op.RMDIR: (None, 1), Op.RENAME: (protocol.RENAME_IN, 2),
    Op.LINK: (protocol.LINK_IN, 1), Op.OPEN: (protocol.OPEN_IN, 0), Op.READ: (protocol.READ_IN, 0),
    Op.WRITE: (protocol.WRITE_IN, 1), Op.RELEASE: (protocol.RELEASE_IN, 0), Op.OPENDIR: (protocol.OPEN_IN, 0),
    Op.READDIR: (protocol.READ_IN, 0), Op.READDIRPLUS: (protocol.READ_IN, 0), Op.CREATE: (protocol.CREATE_IN, 1),
    Op.RENAME2: (protocol.RENAME2_IN, 2), Op.LSEEK: (protocol.LSEEK_IN, 0), Op.FSYNC: (protocol.FSYNC_IN, 0),
    Op.BATCH_FORGET: (protocol.BATCH_FORGET_IN, 0), Op.INIT: (protocol.INIT_IN, 0),
}  # fmt: skip


def _message(rng: random.Random) -> bytes:
    op = rng.choice([*_LAYOUTS, Op.READLINK, Op.STATFS, 21, 39, 999])
    layout, names = _LAYOUTS.get(op, (None, rng.randrange(3))) if isinstance(op, Op) else (None, 1)
    if rng.random() < 0.05:
        layout = rng.choice(_STRUCTS)
    body = b"" if layout is None else _fields(rng, layout)
    body += b"".join(rng.choice(_NAMES) + b"\0" for _ in range(names))
    if rng.random() < 0.02:
        body = body[: rng.randrange(len(body) + 1)]
    node = rng.choice((1, 1, 1, 2, 3, 4, 5, 6, 99, (1 << 64) - 1))
    length = REQUEST.size + len(body) if rng.random() < 0.99 else rng.choice((0, 39, 40, 1 << 20))
    return REQUEST.pack(length, op, rng.randrange(1 << 20), node, 0, 0, 0, 0, 0) + body


def _fields(rng: random.Random, layout: struct.Struct) -> bytes:
    count = len(layout.unpack(bytes(layout.size)))
    for _ in range(5):
        values = [rng.choice(_NUMBERS) if rng.random() < 0.4 else rng.randrange(9) for _ in range(count)]
        try:
            return layout.pack(*values)
        except struct.error:
            continue  # a number that a narrow field does not take
    return bytes(layout.size)


class _Fuse:
    budget: Final = Budget(cpu=1.0, cpu_per_kib=0.02, memory=96 << 20)
    seeds: Final = (
        REQUEST.pack(REQUEST.size + 16, Op.INIT, 1, 0, 0, 0, 0, 0, 0)
        + protocol.INIT_IN.pack(7, 38, 1 << 17, 0),
        REQUEST.pack(REQUEST.size + 5, Op.LOOKUP, 2, 1, 0, 0, 0, 0, 0) + b"file\0",
    )
    mutate: Final = True

    def generate(self, rng: random.Random) -> bytes:
        return b"".join(_message(rng) for _ in range(rng.choice((1, 5, 40, 150))))

    def run(self, data: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
            home = Path(temporary)
            (home / "outside").mkdir()
            (home / "outside" / "secret").write_bytes(_SECRET)
            folder = home / "folder"
            (folder / "sub").mkdir(parents=True)
            (folder / "file").write_bytes(b"inside" * 100)
            (folder / "link").symlink_to("../outside")
            os.mkfifo(folder / "fifo")
            answers = _serve(folder, data)
            assert _SECRET not in answers, "it read what is outside"
            assert (home / "outside" / "secret").read_bytes() == _SECRET, "it wrote outside"
            assert sorted(os.listdir(home)) == ["folder", "outside"]
            assert os.listdir(home / "outside") == ["secret"]
            _check(answers)


def _serve(folder: Path, data: bytes) -> bytes:
    """What the server answers, until it has read everything or has had enough."""
    ours, theirs = socket.socketpair()
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    shown = Folder(root, 100)
    operations = Operations(shown, 1, 1, read_only=False, most=50)
    said = bytearray()

    def listen() -> None:
        while piece := ours.recv(1 << 16):
            said.extend(piece)

    def talk() -> None:
        try:
            ours.sendall(data)
            ours.shutdown(socket.SHUT_WR)
        except OSError:
            return  # it has had enough

    helpers = [threading.Thread(target=each) for each in (listen, talk)]
    for helper in helpers:
        helper.start()
    try:
        Server(theirs, operations).run()
    except NotFuse:
        pass
    finally:
        theirs.close()
        for helper in helpers:
            helper.join()
        ours.close()
        operations.close()
        shown.end()
        os.close(root)
    return bytes(said)


def _check(answers: bytes) -> None:
    at = 0
    while at < len(answers):
        length, problem, _ = ANSWER.unpack_from(answers, at)
        assert ANSWER.size <= length <= len(answers) - at
        assert -1000 < problem <= 0
        at += length


TARGET: Final = _Fuse()
