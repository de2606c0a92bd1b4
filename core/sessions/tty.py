"""The terminal of a session: its window's sizes, whose terminal answers its program, its flow control."""

from __future__ import annotations

import logging
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sandtop.core.paths import make_private, private
from sandtop.core.sessions.flow import FlowControl

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sandtop.core.sessions.session import Session

log = logging.getLogger(__name__)
_SIZE: Final = struct.Struct("!IQHH")
_MOST_SIZES: Final = 4096
_OFFSET: Final = struct.Struct("!Q")
CLIENT_ANSWERS: Final = (1 << 64) - 1
"""In place of the offset `Tty.answered`: a client holds the input, and its terminal answers."""


class SessionControl(Protocol):
    """What a `TerminalObserver` may do to a session. `sandtop.core.sessions.manager.SessionManager` implements it."""

    def answer(self, session: Session, offset: int, data: bytes) -> bool: ...
    def reached(self, session: Session, who: str, offset: int) -> None: ...
    def give_credit(self, session: Session) -> None: ...


class TerminalObserver(Protocol):
    """Is told what happens to the terminals of sessions; `sandtop.core.screens.screens.Screens` implements it.

    No method blocks. ``key`` is a session's id.
    """

    def opened(self, session: Session, control: SessionControl) -> None:
        """There is a session on a terminal, new or started by an earlier core. It can be controlled by ``control``."""
        ...

    def advanced(self, key: str) -> None:
        """The session's log has grown."""
        ...

    def resized(self, key: str, size: Size) -> None:
        """The terminal's window has another size."""
        ...

    def answerer_changed(self, key: str, *, client: bool, offset: int) -> None:
        """What the program asks its terminal from ``offset`` on is answered by somebody else than before.

        With ``client`` by the terminal of the client that holds the input, without by the screen worker.
        """
        ...

    def ended(self, key: str) -> None:
        """The session ended, or is forgotten."""
        ...


@dataclass(frozen=True, slots=True)
class Size:
    """The ``number``-th size of a terminal's window. Output from ``offset`` on was written for this size."""

    number: int
    offset: int
    rows: int
    columns: int


class Tty:
    """The terminal of a session whose log is in ``folder``; ``start`` has its first size as ``rows`` and ``columns``.

    Attributes:
        flow: how far ahead the agent may read.
    """

    __slots__ = ("_answered", "_folder", "_sizes", "_start", "flow")

    def __init__(self, folder: Path, start: Mapping[str, object]) -> None:
        self._folder = folder
        self._start = Size(0, 0, _side(start, "rows", 24), _side(start, "columns", 80))
        self._sizes: list[Size] | None = None
        self._answered: int | None = None
        self.flow = FlowControl()

    # sizes

    @property
    def sizes(self) -> list[Size]:
        """All sizes that are known, oldest first; never empty."""
        if self._sizes is None:
            self._sizes = [self._start, *_read_sizes(self._folder / "sizes")]
        return self._sizes

    def resize(self, offset: int, rows: int, columns: int) -> Size | None:
        """The window has this size for output from ``offset`` on. None when that is no change."""
        last = self.sizes[-1]
        if (last.rows, last.columns) == (rows, columns):
            return None
        size = Size(last.number + 1, offset, rows, columns)
        self.sizes.append(size)
        path = self._folder / "sizes"
        try:
            make_private(self._folder)
            if len(self.sizes) > _MOST_SIZES:
                del self.sizes[1 : _MOST_SIZES // 2]
                fresh = path.with_suffix(".new")
                with open(fresh, "wb", opener=private) as file:
                    file.write(b"".join(map(_packed, self.sizes[1:])))
                fresh.replace(path)
            else:
                with open(path, "ab", opener=private) as file:
                    file.write(_packed(size))
        except OSError as error:
            # this core goes by what it has in memory
            log.warning("the sizes %s cannot be written: %s", path, error)
        return size

    # who answers

    @property
    def answered(self) -> int:
        """What the program asked before this offset is settled: answered, or never to be. While a client's terminal
        answers it is `CLIENT_ANSWERS`."""
        if self._answered is None:
            self._answered = _read_answered(self._folder / "answered")
        return self._answered

    @answered.setter
    def answered(self, offset: int) -> None:
        if offset == self.answered:
            return
        self._answered = offset
        try:
            make_private(self._folder)
            fd = os.open(self._folder / "answered", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(fd, _OFFSET.pack(offset), 0)
            finally:
                os.close(fd)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._folder / "answered", error)


def _read_answered(path: Path) -> int:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0
    except OSError as error:
        log.warning("%s cannot be read: %s", path, error)
        return CLIENT_ANSWERS  # the worker does not answer then: better no answer than a second one
    return int(_OFFSET.unpack(data)[0]) if len(data) == _OFFSET.size else CLIENT_ANSWERS


def _packed(size: Size) -> bytes:
    return _SIZE.pack(size.number, size.offset, size.rows, size.columns)


def _read_sizes(path: Path) -> list[Size]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("the sizes %s cannot be read: %s", path, error)
        return []
    whole = len(data) - len(data) % _SIZE.size  # a core that was killed may have left half a size at the end
    if whole < len(data):
        os.truncate(path, whole)
    return [Size(*values) for values in _SIZE.iter_unpack(data[:whole])]


def _side(start: Mapping[str, object], name: str, usual: int) -> int:
    value = start.get(name)
    return value if isinstance(value, int) else usual
