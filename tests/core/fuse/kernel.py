"""A guest's kernel, as hostile as one likes: it says what it is told to say, and reads what the server answers."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from sandtop.core.fuse import protocol
from sandtop.core.fuse.protocol import Op

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

UID, GID = 1234, 4321
_PATIENCE = 30.0


class Answer(NamedTuple):
    """What the server said: an errno(3), or 0, and a body."""

    errno: int
    body: bytes


class Found(NamedTuple):
    """A file, as the server told of it."""

    node: int
    inode: int
    size: int
    mode: int
    links: int
    uid: int
    gid: int


class Failed(OSError):
    """The server refused."""


def name(*names: bytes) -> bytes:
    return b"".join(each + b"\0" for each in names)


def attributes(body: bytes, at: int, node: int) -> Found:
    fields = protocol.ATTR.unpack_from(body, at)
    return Found(node, fields[0], fields[1], fields[9], fields[10], fields[11], fields[12])


class Kernel:
    """One mount's client; ``process`` is its server."""

    def __init__(self, link: socket.socket, process: subprocess.Popen[str]) -> None:
        self.link = link
        self.process = process
        self._number = 0

    def send(self, op: int, node: int, body: bytes = b"") -> int:
        self._number += 1
        length = protocol.REQUEST.size + len(body)
        self.link.sendall(protocol.REQUEST.pack(length, op, self._number, node, 0, 0, 0, 0, 0) + body)
        return self._number

    def receive(self) -> tuple[int, Answer]:
        """The next answer, with the number of its request. Raises EOFError when the server has ended."""
        header = self._exactly(protocol.ANSWER.size)
        length, problem, number = protocol.ANSWER.unpack(header)
        return number, Answer(-problem, self._exactly(length - protocol.ANSWER.size))

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            piece = self.link.recv(length - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    def ask(self, op: int, node: int, body: bytes = b"") -> Answer:
        asked = self.send(op, node, body)
        number, answer = self.receive()
        assert number == asked
        return answer

    def get(self, op: int, node: int, body: bytes = b"") -> bytes:
        """The answer's body. Raises `Failed`."""
        answer = self.ask(op, node, body)
        if answer.errno:
            raise Failed(answer.errno, os.strerror(answer.errno))
        return answer.body

    # what kernels do

    def begin(self) -> bytes:
        return self.get(Op.INIT, 0, protocol.INIT_IN.pack(7, 38, 1 << 20, 0xFFFFFFFF))

    def look_up(self, parent: int, of: bytes) -> Found | None:
        body = self.get(Op.LOOKUP, parent, name(of))
        node = protocol.ENTRY_OUT.unpack_from(body)[0]
        return attributes(body, protocol.ENTRY_OUT.size, node) if node else None

    def walk(self, *path: bytes) -> Found:
        """What is at the path. Raises `Failed`."""
        return self.walk_from(protocol.ROOT, *path)

    def walk_from(self, node: int, *path: bytes) -> Found:
        found = Found(node, 0, 0, 0, 0, 0, 0)
        for part in path:
            there = self.look_up(found.node, part)
            if there is None:
                raise Failed(errno.ENOENT, os.strerror(errno.ENOENT))
            found = there
        return found

    def status(self, node: int) -> Found:
        body = self.get(Op.GETATTR, node, protocol.GETATTR_IN.pack(0, 0, 0))
        return attributes(body, protocol.ATTR_OUT.size, node)

    def open(self, node: int, flags: int = os.O_RDONLY) -> int:
        return int(protocol.OPEN_OUT.unpack(self.get(Op.OPEN, node, protocol.OPEN_IN.pack(flags, 0)))[0])

    def create(self, parent: int, of: bytes, mode: int = 0o644, flags: int = os.O_RDWR) -> tuple[Found, int]:
        fields = protocol.CREATE_IN.pack(flags | os.O_CREAT, mode, 0, 0)
        body = self.get(Op.CREATE, parent, fields + name(of))
        node = protocol.ENTRY_OUT.unpack_from(body)[0]
        behind = protocol.ENTRY_OUT.size + protocol.ATTR.size
        handle = protocol.OPEN_OUT.unpack_from(body, behind)[0]
        return attributes(body, protocol.ENTRY_OUT.size, node), int(handle)

    def read(self, handle: int, size: int = 4096, offset: int = 0) -> bytes:
        return self.get(Op.READ, 0, protocol.READ_IN.pack(handle, offset, size, 0, 0, 0, 0))

    def write(self, handle: int, data: bytes, offset: int = 0) -> int:
        fields = protocol.WRITE_IN.pack(handle, offset, len(data), 0, 0, 0, 0)
        return int(protocol.WRITE_OUT.unpack(self.get(Op.WRITE, 0, fields + data))[0])

    def release(self, handle: int) -> None:
        self.get(Op.RELEASE, 0, protocol.RELEASE_IN.pack(handle, 0, 0, 0))

    def set(self, node: int, what: int, *, size: int = 0, mode: int = 0, modified: int = 0) -> Found:
        fields = protocol.SETATTR_IN.pack(
            what, 0, 0, size, 0, 0, modified, 0, 0, 0, 0, mode, 0, UID + 1, GID + 1, 0
        )
        return attributes(self.get(Op.SETATTR, node, fields), protocol.ATTR_OUT.size, node)

    def forget(self, node: int, lookups: int = 1) -> None:
        self.send(Op.FORGET, node, protocol.FORGET_IN.pack(lookups))

    def listed(self, node: int, *, size: int = 4096, plus: bool = True) -> dict[bytes, int]:
        """The names in a directory, each with its node (0 without ``plus``)."""
        handle = protocol.OPEN_OUT.unpack(self.get(Op.OPENDIR, node, protocol.OPEN_IN.pack(0, 0)))[0]
        found: dict[bytes, int] = {}
        offset = 0
        op = Op.READDIRPLUS if plus else Op.READDIR
        while data := self.get(op, node, protocol.READ_IN.pack(handle, offset, size, 0, 0, 0, 0)):
            assert len(data) <= size
            at = 0
            while at < len(data):
                number = protocol.ENTRY_OUT.unpack_from(data, at)[0] if plus else 0
                at += protocol.ENTRY_OUT.size + protocol.ATTR.size if plus else 0
                _inode, offset, length, _kind = protocol.DIRENT.unpack_from(data, at)
                at += protocol.DIRENT.size
                found[data[at : at + length]] = number
                at += length + 7 & ~7
        self.get(Op.RELEASEDIR, node, protocol.RELEASE_IN.pack(handle, 0, 0, 0))
        return found


@contextmanager
def mounted(folder: Path, *, nodes: int = 10_000, read_only: bool = False) -> Generator[Kernel]:
    """A client of a server for ``folder``, a process as the core starts it."""
    ours, theirs = socket.socketpair()
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    words = [sys.executable, "-m", "sandtop.core.fuse", str(root), str(nodes), "ro" if read_only else "rw"]
    process = subprocess.Popen(
        words, stdin=theirs.fileno(), pass_fds=(root,), stderr=subprocess.PIPE, text=True
    )
    theirs.close()
    os.close(root)
    with process, ours:
        ours.settimeout(_PATIENCE)
        ours.sendall(protocol.PREAMBLE.pack(protocol.MAGIC, UID, GID))
        kernel = Kernel(ours, process)
        kernel.begin()
        yield kernel
        ours.close()
        process.wait(_PATIENCE)
