"""This process's stdout and stderr, each written at its reader's own pace."""

from __future__ import annotations

import os
import select
import stat

from sandtop.core.errors import StorageError

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections import deque
    from typing import Final

    from ._text import Neutraliser
else:
    from _collections import deque  # see sandtop/agent/_streams.py

_ATOMIC: Final = 4096
"""A pipe or terminal that poll calls writable takes this much (PIPE_BUF) without blocking."""


class Sink:
    """Where one stream of a session goes. `poll` says when `flush` may be called.

    Attributes:
        fd: the descriptor to poll and write to.
        pending: bytes not yet written.
        broken: its reader is gone: what is fed is dropped.
    """

    __slots__ = ("_chunks", "_filter", "_most", "_own", "broken", "fd", "pending")

    def __init__(self, fd: int, *, raw: bool) -> None:
        self.pending = 0
        self.broken = False
        self._chunks: deque[memoryview] = deque()
        self._filter: Neutraliser | None = None
        self._own = False
        self._most = _ATOMIC
        self.fd = fd
        if os.isatty(fd):
            if not raw:
                from ._text import Neutraliser

                self._filter = Neutraliser()
        else:
            self._choose()

    def _choose(self) -> None:
        mode = os.fstat(self.fd).st_mode
        if stat.S_ISREG(mode):
            self._most = 1 << 20
        elif stat.S_ISFIFO(mode):
            try:  # an open file description of our own: O_NONBLOCK on the shared one would be everybody's
                self.fd = os.open(f"/proc/self/fd/{self.fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return  # not our user's pipe, or no /proc: small pieces are safe too
            self._own, self._most = True, 1 << 20

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Take ``data``, the next of the stream."""
        if self._filter is not None:
            data = self._filter.feed(data, final=final)
        if data and not self.broken:
            self._chunks.append(memoryview(data))
            self.pending += len(data)

    def flush(self) -> None:
        """Write what can be written now; poll said that something can. Raises `StorageError` for a full disk."""
        try:
            while self._chunks:
                chunk = self._chunks[0]
                done = os.write(self.fd, chunk[: self._most])
                self.pending -= done
                if done < len(chunk):
                    self._chunks[0] = chunk[done:]
                else:
                    self._chunks.popleft()
                if self._most == _ATOMIC:
                    return
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._drop()
            self.broken = True
        except OSError as error:
            self._drop()
            self.broken = True
            raise StorageError(f"cannot write the output: {error.strerror or error}") from error

    def _drop(self) -> None:
        self._chunks.clear()
        self.pending = 0

    def drain(self) -> None:
        """Wait until all is written or the reader is gone."""
        self.feed(b"", final=True)
        waiter = select.poll()
        waiter.register(self.fd, select.POLLOUT)
        while self.pending and not self.broken:
            waiter.poll()
            self.flush()

    def close(self) -> None:
        if self._own:
            os.close(self.fd)
            self._own = False
