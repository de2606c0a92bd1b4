"""Reading, writing, listing and watching files of a sandbox, over as many connections as it takes. No I/O."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from sandtop.agent.wire import MAX_DATA, Control, Credit, Data, Eof, encode
from sandtop.agent.wire.limits import FILE_AT_ONCE
from sandtop.core.contract.codec import decode_result
from sandtop.core.contract.file_events import FileChanges, FileEntries, FileOpened
from sandtop.core.errors import CoreFailure, CoreUnavailable, FileError

from .listening import Listening
from .operation import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandtop.agent.wire import Frame
    from sandtop.core.contract.file import FileInfo, FileList, FileRead, FileWatch, FileWrite

    Source = Callable[[int], bytes]
    """Gives the next bytes, at most so many; none at the end."""


class FileReading(Listening[bytes]):
    """`FileRead`: the file's content, piece by piece. After a break it goes on behind what has come.

    Attributes:
        file: what it is that is read; None until the core has said so.
    """

    __slots__ = ("_length", "_reached", "file")

    def __init__(self, request: FileRead) -> None:
        super().__init__(request, follow=False)
        self.file: FileInfo | None = None
        self._reached = request.offset
        self._length = request.length

    def opening(self) -> bytes:
        begun = self._message.get("offset") or 0
        if self._length is not None and isinstance(begun, int):
            self._length -= self._reached - begun
            self._message["length"] = self._length
        self._message["offset"] = self._reached
        return super().opening()

    def _items(self, frame: Frame) -> Iterable[bytes]:
        if isinstance(frame, Data) and frame.offset == self._reached:
            self._reached += len(frame.data)
            return [frame.data]
        file = decode_result(FileOpened, _message(frame, FileOpened.kind)).file
        if self.file is not None and (file.size, file.modified_at) != (self.file.size, self.file.modified_at):
            raise FileError(
                f"{file.path}: it was changed while it was read", errno=errno.ESTALE, filename=file.path
            )
        self.file = file
        return []


class _Rows(Listening["list[object]"]):
    """Rows, some at a time, behind the word that the folder or file is open.

    Attributes:
        file: what it is; None until the core has said so.
    """

    __slots__ = ("_kind", "file")

    def __init__(
        self, request: FileList | FileWatch, kind: type[FileEntries | FileChanges], *, follow: bool
    ) -> None:
        super().__init__(request, follow=follow)
        self._kind = kind
        self.file: FileInfo | None = None

    def _items(self, frame: Frame) -> Iterable[list[object]]:
        message = _message(frame, FileOpened.kind, self._kind.kind)
        if message["type"] == FileOpened.kind:
            again, self.file = self.file is not None, decode_result(FileOpened, message).file
            return self._opened(again=again)
        return [self._rows(decode_result(self._kind, message).rows)]

    def _opened(self, *, again: bool) -> Iterable[list[object]]:
        """The file is open, ``again`` after the connection broke; what its caller gets for that."""
        return []

    def _rows(self, rows: list[object]) -> list[object]:
        return rows


class FileListing(_Rows):
    """`FileList`: the rows of `FileEntries`. After a break those that have come are passed over."""

    __slots__ = ("_came", "_skip")

    def __init__(self, request: FileList) -> None:
        super().__init__(request, FileEntries, follow=False)
        self._came = self._skip = 0

    def _opened(self, *, again: bool) -> Iterable[list[object]]:
        self._skip = self._came
        return []

    def _rows(self, rows: list[object]) -> list[object]:
        fresh = rows[self._skip :]
        self._skip = max(0, self._skip - len(rows))
        self._came += len(fresh)
        return fresh


class FileWatching(_Rows):
    """`FileWatch`: the rows of `FileChanges`. What happened during a break is lost, and that is said."""

    __slots__ = ()

    def __init__(self, request: FileWatch) -> None:
        super().__init__(request, FileChanges, follow=True)

    def _opened(self, *, again: bool) -> Iterable[list[object]]:
        return [[["lost", "", False, 0]]] if again else []


class FileWriting(Operation):
    """`FileWrite`: sends ``content``, or what a source gives. After a break it begins anew, which a source cannot.

    Attributes:
        sent: bytes so far.
    """

    __slots__ = ("_acked", "_content", "_ended", "_limit", "_source", "sent")

    def __init__(self, request: FileWrite, content: bytes | memoryview | Source) -> None:
        self._content = memoryview(b"" if callable(content) else content)
        self._source = content if callable(content) else None
        self.sent = self._acked = 0
        self._limit, self._ended = FILE_AT_ONCE, False
        super().__init__(request)

    def opening(self) -> bytes:
        """Raises `CoreUnavailable` when a source has given something already."""
        if self._source is not None and self.sent:
            raise CoreUnavailable(
                "the core went away while a file was written: it is as it was before", hint="try again"
            )
        self.sent = self._acked = 0
        self._limit, self._ended = FILE_AT_ONCE, False
        first = super().opening()
        if self._source is None:
            while (more := self.pull()) is not None:
                first += more
        return first

    def feed(self, data: bytes) -> list[Frame]:
        rest: list[Frame] = []
        for frame in super().feed(data):
            if isinstance(frame, Credit):
                self._acked, self._limit = max(self._acked, frame.acked), max(self._limit, frame.limit)
            else:
                rest.append(frame)
        return rest

    def pull(self) -> bytes | None:
        if self._ended or self.over:
            return None
        room = min(self._limit - self.sent, MAX_DATA)
        if room <= 0:
            return None
        piece = (
            self._source(room)
            if self._source is not None
            else bytes(self._content[self.sent : self.sent + room])
        )
        if not piece:
            self._ended = True
            return encode(Eof(0, self.sent))
        frame = encode(Data(0, self.sent, piece))
        self.sent += len(piece)
        return frame

    @property
    def progress(self) -> int:
        return self._acked


def _message(frame: Frame, *kinds: str) -> dict[str, object]:
    if not isinstance(frame, Control) or frame.message["type"] not in kinds:
        raise CoreFailure("the core sent what makes no sense here", hint="see its log")
    return frame.message
