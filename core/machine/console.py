"""The serial console: what the guest's kernel and agent print, kept for the day that something fails.

The machine's end is a listening socket rather than a file, so that a guest cannot fill the host's disk: with nobody
connected its bytes are dropped, and whoever is connected (the core) keeps a bounded amount of them.
"""

from __future__ import annotations

import os
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

import trio

from sandtop.core.errors import MachineError, from_os_error
from sandtop.core.machine.nursery import background
from sandtop.core.machine.text import last_lines

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path
    from types import TracebackType

CAP_BYTES: Final = 256 * 1024
"""What is kept of one console, in two files of half of it each."""

_READ_BYTES: Final = 64 * 1024
_TAIL_BYTES: Final = 64 * 1024


class ConsoleLog:
    """A file of at most half of ``cap`` bytes, and its predecessor beside it as ``NAME.1``; a context manager.

    Appends to what is there. A write that the disk has no room for is lost: a console log is worth less than the
    machine.
    """

    def __init__(self, path: Path, *, cap: int = CAP_BYTES) -> None:
        """Raises `StorageError` when ``path`` cannot be opened."""
        self._path = path
        self._piece = cap // 2
        self._descriptor = self._open()
        self._size = os.fstat(self._descriptor).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def _open(self) -> int:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            return os.open(self._path, flags, 0o600)
        except OSError as error:
            raise from_os_error(error, "cannot open the console log") from error

    def write(self, data: bytes) -> None:
        """Append ``data``, beginning a new file each time that one is full."""
        with suppress(OSError):
            while data:
                room = self._piece - self._size
                if room <= 0:
                    self._rotate()
                    continue
                written = os.write(self._descriptor, data[:room])
                self._size += written
                data = data[written:]

    def _rotate(self) -> None:
        os.replace(self._path, _older(self._path))
        fresh = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.close(self._descriptor)
        self._descriptor, self._size = fresh, 0


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def clear(path: Path) -> None:
    """Remove the console log at ``path``. Raises `StorageError`."""
    try:
        path.unlink(missing_ok=True)
        _older(path).unlink(missing_ok=True)
    except OSError as error:
        raise from_os_error(error, "cannot begin the console log anew") from error


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of the console log at ``path``, fit for a terminal; empty when there is none."""
    raw = b""
    for piece in (path, _older(path)):
        if len(raw) >= _TAIL_BYTES:
            break
        with suppress(FileNotFoundError), piece.open("rb") as file:
            file.seek(-min(_TAIL_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
            raw = file.read(_TAIL_BYTES) + raw
    return last_lines(raw, lines)


class ConsoleReader:
    """Reads the console log at ``path`` from its beginning, and goes on with what is written; a context manager.

    Nothing is where there is none. Of a console that prints more than is kept between two calls some is lost.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def begin(self, lines: int | None = None) -> bytes:
        """All that is kept, or the last ``lines`` of it. Raises OSError, as `read` does."""
        older = b""
        with suppress(FileNotFoundError):
            older = _older(self._path).read_bytes()
        data = older + self.read()
        if lines is None:
            return data
        return b"".join(data.splitlines(keepends=True)[-lines:]) if lines else b""

    def read(self) -> bytes:
        """What was written since the last call; empty when nothing was."""
        data = b""
        if self._descriptor >= 0:
            data = self._rest()
            if self._is_current():
                return data
            self._close()  # it was begun anew: a new file, or another machine
        with suppress(FileNotFoundError):
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            data += self._rest()
        return data

    def _rest(self) -> bytes:
        pieces: list[bytes] = []
        while piece := os.read(self._descriptor, _READ_BYTES):
            pieces.append(piece)
        return b"".join(pieces)

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return True


@asynccontextmanager
async def recorded(path: Path, log: Path, name: str, *, deadline: float = 5.0) -> AsyncGenerator[trio.Event]:
    """Copy the console socket at ``path`` into the log file ``log`` while the context lasts.

    Yields an event that is set when the console has ended, with its machine, and all of it is in the log. ``name`` is
    the sandbox's, for errors. Raises `MachineError` when nothing listens there, `StorageError` for the log.
    """
    ended = trio.Event()
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream, ConsoleLog(log) as target:
        try:
            with trio.fail_after(deadline):
                await stream.connect(os.fsencode(path))
        except (OSError, trio.TooSlowError) as error:
            raise MachineError(f"cannot reach the machine's console: {error}", sandbox=name) from error

        async def copy() -> None:
            with suppress(OSError):
                while data := await stream.recv(_READ_BYTES):
                    target.write(data)
            ended.set()

        async with background(copy):
            yield ended
