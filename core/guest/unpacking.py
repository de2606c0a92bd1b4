"""Compressed tars of the host, unpacked by the programs that everybody has for it, in a process of their own."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.guest.tools import environment, failure, missing
from sandtop.core.tar.reader import CHUNK

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import BinaryIO

# the first bytes of each kind of compressed tar, and what unpacks it
_UNPACKERS: Final = (
    (b"\x1f\x8b", ("gzip", "-dc")),
    (b"\xfd7zXZ\0", ("xz", "-dc")),
    (b"\x28\xb5\x2f\xfd", ("zstd", "-dcq")),
)
_PIPE: Final = 1 << 20
"""Bytes of the pipe: with the usual 64 KiB both sides wait for each other most of the time."""


def is_packed(start: bytes) -> bool:
    """Whether a file that begins with these eight bytes is compressed."""
    return any(start.startswith(magic) for magic, _ in _UNPACKERS)


@contextmanager
def plain(fd: int, doing: str) -> Generator[BinaryIO]:
    """The file ``fd`` as a plain tar, from its beginning.

    Raises `ImageError` when what unpacks it finds fault with it, whatever else went wrong.
    """
    os.lseek(fd, 0, os.SEEK_SET)
    start = os.pread(fd, 8, 0)
    command = next((command for magic, command in _UNPACKERS if start.startswith(magic)), None)
    if command is None:
        with open(fd, "rb", closefd=False) as file:
            yield file
        return
    try:
        process = subprocess.Popen(
            command,
            bufsize=CHUNK,
            stdin=fd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
    except FileNotFoundError as error:
        raise missing(command[0]) from error
    with process, cast("BinaryIO", process.stdout) as stream, cast("BinaryIO", process.stderr) as heard:
        with suppress(OSError):  # more than a user may have in pipes
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, _PIPE)
        try:
            yield stream
            while stream.read(CHUNK):
                pass
        finally:
            stream.close()
            said = heard.read(1 << 16)
            status = process.wait()
            if status not in (0, -signal.SIGPIPE):
                raise failure(doing, command[0], status, said)
