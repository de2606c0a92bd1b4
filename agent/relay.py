"""Mounting a folder of the host, and passing messages between the kernel's FUSE and the host, in a process of its own.

The kernel hands over one request with each read of /dev/fuse and wants one answer with each write; on the way to the
host both are a stream of bytes over a serial port of this machine, which nobody else uses. Nothing is looked at but the
length that each message begins with.
"""

from __future__ import annotations

import _thread
import errno
import os
import struct
import time

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

PREAMBLE: Final = struct.pack("8s", b"sandtop\1")
"""What the host's server expects first (core/fuse/protocol.py), before the numbers of the files' owner."""
_MAX_WRITE: Final = 128 * 1024
_HEADERS: Final = 80
REQUEST_BYTES: Final = _MAX_WRITE + _HEADERS
"""The longest request (linux/fuse.h: two headers, and what the host's server said it takes)."""
_PIECE: Final = 4096
"""Bytes that the port's driver hands over with one read."""
_MOST_PIECES: Final = 64
_ANSWER: Final = 16
"""Bytes of an answer's header."""
_PORTS: Final = "/sys/class/virtio-ports"
_SECONDS: Final = 20.0
"""How long the kernel may take to see a port that was plugged in."""
_LOOK: Final = 0.01


def run(folder: int, port: str, uid: int, gid: int, mounted: Callable[[], None], *, read_only: bool) -> None:
    """Mount on ``folder``, call ``mounted``, and go on until the host or the mount has ended. Raises OSError."""
    load("fuse")
    host = os.open(f"/dev/{_appeared(port)}", os.O_RDWR | os.O_CLOEXEC)
    fuse = os.open("/dev/fuse", os.O_RDWR)
    write_all(host, PREAMBLE + struct.pack("<II", uid, gid))
    words = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    options = f"nosuid,nodev,{'ro,' if read_only else ''}{words}"
    _run("mount", "-i", "-t", "fuse", "-o", options, "host", f"/proc/self/fd/{folder}", keep=(fuse, folder))
    os.close(folder)
    relay(host, fuse, mounted)


def relay(host: int, fuse: int, answered: Callable[[], None]) -> None:
    """Pass on what comes, until the host or the mount has ended. ``answered`` is called after the first answer."""
    _thread.start_new_thread(_pass_requests, (fuse, host))
    try:
        pass_answers(host, fuse, answered)
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.EPIPE):
            raise


def _pass_requests(fuse: int, host: int) -> None:
    try:
        pass_requests(fuse, host)
    finally:
        os._exit(0)


def pass_requests(fuse: int, host: int) -> None:
    """Returns, or raises OSError, when one of them has ended."""
    buffer = bytearray(REQUEST_BYTES)
    whole = memoryview(buffer)
    while True:
        try:
            length = os.readv(fuse, [buffer])
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EAGAIN):  # whoever asked was killed meanwhile
                continue
            raise
        if not length:
            return
        write_all(host, whole[:length])


def pass_answers(host: int, fuse: int, answered: Callable[[], None]) -> None:
    """Returns when the host has ended; raises OSError when the mount has."""
    first = True
    held = b""
    while data := os.read(host, _PIECE):
        held = held + data if held else data
        while len(held) >= _ANSWER:
            length = int.from_bytes(held[:4], "little")
            if length > len(held):
                held = _rest(host, held, length)
                if not held:
                    return
            _answer(fuse, held if length == len(held) else held[:length])
            held = held[length:]
            if first:
                first = False
                answered()


def _rest(host: int, begun: bytes, length: int) -> bytes:
    """A message of ``length`` bytes that has ``begun``; empty when the host has ended."""
    whole = bytearray(length)
    whole[: len(begun)] = begun
    view, at = memoryview(whole), len(begun)
    while at < length:
        end = min(length, at + _PIECE * _MOST_PIECES)
        # one call for many pieces: each alone costs an emulated processor as much as copying it
        count = os.readv(host, [view[n : min(n + _PIECE, end)] for n in range(at, end, _PIECE)])
        if not count:
            return b""
        at += count
    return bytes(whole)


def _answer(fuse: int, message: bytes) -> None:
    try:
        os.write(fuse, message)
    except OSError as error:
        if error.errno != errno.ENOENT:  # whoever asked was killed meanwhile
            raise


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of ``data``. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def load(group: str) -> None:
    """Insert the modules of a ``group`` of the runtime. Raises OSError."""
    with open(f"/modules/{group}") as file:
        paths = file.read().split()
    for path in paths:
        name = os.path.basename(path).removesuffix(".ko").replace("-", "_")
        if not os.path.isdir(f"/sys/module/{name}"):
            _run("insmod", path)


def _appeared(name: str) -> str:
    """The file in /dev of the port called ``name``, once there is one. Raises OSError."""
    until = time.monotonic() + _SECONDS
    while True:
        for entry in os.listdir(_PORTS):
            try:
                with open(f"{_PORTS}/{entry}/name") as file:
                    if file.read().strip() == name and os.path.exists(f"/dev/{entry}"):
                        return entry
            except OSError:
                continue  # it has no name yet
        if time.monotonic() > until:
            raise OSError(errno.ENODEV, f"the kernel has seen no port {name} within {_SECONDS:g} s")
        time.sleep(_LOOK)


def _run(*arguments: str, keep: tuple[int, ...] = ()) -> None:
    """Run a program of busybox, which has the descriptors ``keep``. Raises OSError with what it said."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    for fd in keep:
        os.set_inheritable(fd, True)
    actions = [(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, writer, 2)]
    try:
        pid = os.posix_spawn("/bin/busybox", ["busybox", *arguments], {}, file_actions=actions)
        os.close(writer)
        said = b""
        while piece := os.read(reader, _PIECE):
            said = (said + piece)[-_PIECE:]
    finally:
        os.close(reader)
    if os.waitpid(pid, 0)[1] != 0:
        words = said.decode("utf-8", "replace").strip().splitlines()
        raise OSError(errno.EIO, words[-1] if words else f"{arguments[0]} failed")
