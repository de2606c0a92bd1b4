"""This process's stdout and stderr, written without waiting: what a reader does not take yet is kept."""

from __future__ import annotations

import os
import stat

from sandtop.core.errors import StorageError

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections import deque
    from typing import Final, Protocol

    from sandtop.core.client.session import SharedOutput

    class Filter(Protocol):
        """Changes output on its way to a terminal."""

        def feed(self, data: bytes, *, final: bool = False) -> bytes: ...
else:
    from _collections import deque  # see sandtop/agent/wire/streams.py

_ATOMIC: Final = 4096
"""A descriptor that poll calls writable takes so many bytes without waiting (PIPE_BUF, and a socket's buffer)."""
_LAST_SECONDS: Final = 0.25
"""How long `Sink.last` waits for a terminal, twice at most."""


class Sink:
    """Writes one stream of a session to the descriptor ``fd``. It never waits: `flush` is called when poll says so.

    ``filter`` changes the output, if it goes to a terminal.

    Attributes:
        fd: the descriptor to poll: another one than given, where it had to be opened anew.
        pending: bytes that are not yet written.
        broken: the reader is gone, and all output is dropped.
        terminal: whether ``fd`` is a terminal.
    """

    __slots__ = (
        "_chunks",
        "_dropping",
        "_filter",
        "_most",
        "_moved",
        "_output",
        "broken",
        "fd",
        "pending",
        "terminal",
    )

    def __init__(self, fd: int, filter: Filter | None) -> None:
        self.pending = 0
        self.broken = False
        self._chunks: deque[memoryview] = deque()
        self._output: SharedOutput | None = None
        self._most = _ATOMIC
        self._dropping = self._moved = False
        self.fd = fd
        self.terminal = os.isatty(fd)
        self._filter = filter if self.terminal else None
        self._choose()

    def _choose(self) -> None:
        mode = os.fstat(self.fd).st_mode
        if stat.S_ISREG(mode):
            self._most = 1 << 20
        elif stat.S_ISFIFO(mode) or self.terminal:
            from sandtop.core.client.session import SharedOutput

            output = SharedOutput(self.fd)
            if output.own or self.terminal:  # to another user's pipe only small pieces are written
                self._output, self.fd, self._most = output, output.fd, 1 << 20

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Take ``data``, the next output of the stream."""
        if self._filter is not None:
            data = self._filter.feed(data, final=final)
        if self._dropping and self.pending + len(data) > _ATOMIC:
            return
        if data and not self.broken:
            self._chunks.append(memoryview(data))
            self.pending += len(data)

    def flush(self) -> None:
        """Write what can be written without waiting. Raises `StorageError` when writing fails, as on a full disk."""
        try:
            while self._chunks:
                chunk = self._chunks[0]
                piece = chunk[: self._most]
                done = os.write(self.fd, piece) if self._output is None else self._output.write(piece)
                self.pending -= done
                if done:
                    self._moved, self._dropping = True, False
                if done == len(chunk):
                    self._chunks.popleft()
                else:
                    self._chunks[0] = chunk[done:]
                if done < len(piece) or self._most == _ATOMIC:
                    return
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._break()
        except OSError as error:
            self._break()
            raise StorageError(f"cannot write the output: {error.strerror or error}") from error

    def _break(self) -> None:
        self.broken = True
        self.drop()

    def drop(self) -> None:
        """Drop what waits; and, until the reader takes something again, all but a little of what comes."""
        self._dropping = True
        self._chunks.clear()
        self.pending = 0

    def stalled(self) -> bool:
        """Whether nothing was written since the last call."""
        moved, self._moved = self._moved, False
        return not moved

    def last(self, data: bytes) -> None:
        """Write ``data`` unchanged, in place of what waits. It is lost if the terminal takes nothing in time."""
        if self._output is None:
            return
        try:
            if not self._output.write_within(data, _LAST_SECONDS):
                self._output.discard()
                self._output.write_within(data, _LAST_SECONDS)
        except OSError:
            return  # the terminal is gone

    def close(self) -> None:
        if self._output is not None:
            self._output.close()
            self._output = None
