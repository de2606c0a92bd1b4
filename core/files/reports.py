"""What a file server says of files: checked, since a guest may say anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sandtop.agent.wire import ProtocolError, from_json
from sandtop.core.contract.file import FileInfo
from sandtop.core.contract.record import is_list

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeGuard

KINDS: Final = frozenset({"file", "directory", "symlink", "fifo", "socket", "block", "character", "unknown"})
HAPPENINGS: Final = frozenset(
    {"created", "modified", "written", "attributes", "moved-from", "moved-to", "deleted", "gone", "lost"}
)
_MOST: Final = (1 << 63) - 1
_MOST_ID: Final = (1 << 32) - 1
_MOST_MODE: Final = 0o7777
_MOST_NAME: Final = 255
_MOST_PATH: Final = 4096
_COLUMNS: Final = 9
MOST_LINE: Final = 256 * 1024
"""Bytes of a line of a listing, or of what happened, which have some 50 KiB."""


def _is_count(value: object, most: int = _MOST) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= most


def _is_one(value: object, words: frozenset[str]) -> TypeGuard[str]:
    return isinstance(value, str) and value in words


def _is_text(value: object, most: int) -> TypeGuard[str]:
    """Whether it is a text that came of at most so many bytes, among which no NUL is."""
    if not isinstance(value, str) or "\0" in value:
        return False
    if value.isascii():
        return len(value) <= most
    try:
        return len(value.encode("utf-8", "surrogateescape")) <= most
    except UnicodeEncodeError:
        return False


def _facts(said: list[Any]) -> list[Any] | None:
    """Size, mode, uid, gid, links and time of a file, the last of them in seconds; None when they make no sense."""
    size, mode, uid, gid, links, mtime = said
    if (
        _is_count(size)
        and _is_count(mode, _MOST_MODE)
        and _is_count(uid, _MOST_ID)
        and _is_count(gid, _MOST_ID)
        and _is_count(links)
        and type(mtime) is int
        and -_MOST <= mtime <= _MOST
    ):
        return [size, mode, uid, gid, links, mtime / 1e9]
    return None


def info_of(said: Mapping[str, Any], path: str) -> FileInfo:
    """What ``said`` says of the file at ``path``. Raises ProtocolError when that makes no sense."""
    kind, target = said.get("kind"), said.get("target")
    facts = _facts([said.get(name) for name in ("size", "mode", "uid", "gid", "links", "mtime_ns")])
    if facts is None or not _is_one(kind, KINDS) or not (target is None or _is_text(target, _MOST_PATH)):
        raise ProtocolError("what the guest says of a file makes no sense")
    name = path.rstrip("/").rpartition("/")[2] or "/"
    size, mode, uid, gid, links, modified_at = facts
    return FileInfo(
        path=path, name=name, kind=kind, size=size, mode=mode, uid=uid, gid=gid, links=links, modified_at=modified_at,
        target=target,
    )  # fmt: skip


class Lines:
    """Cuts a stream of lines of JSON, each of them a list of lists, out of the pieces in which it comes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[list[Any]]:
        """The rows of the lines that are complete with ``piece``. Raises ProtocolError."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > MOST_LINE:
            raise ProtocolError("a line of a listing that has no end")
        return [row for line in lines for row in _rows(line)]


def _rows(line: bytes) -> list[list[Any]]:
    try:
        value: object = from_json(line.decode("ascii"))
    except (ValueError, RecursionError):
        value = None
    if not is_list(value) or not all(type(row) is list for row in value):
        raise ProtocolError("a line of a listing that makes no sense")
    return value  # type: ignore[return-value]


def entries_of(rows: list[list[Any]]) -> list[object]:
    """The rows of a listing as clients get them: ``[name, kind, size, mode, uid, gid, links, modified_at, target]``.

    Raises ProtocolError for one that makes no sense.
    """
    return [_entry(row) for row in rows]


def _entry(row: list[Any]) -> list[object]:
    if len(row) == _COLUMNS:
        name, kind, *facts, target = row
        sense = (
            _is_text(name, _MOST_NAME)
            and name not in ("", ".", "..")
            and "/" not in name
            and _is_one(kind, KINDS)
        )
        if sense and (target is None or _is_text(target, _MOST_PATH)):
            if not any(fact is not None for fact in facts):
                return [name, kind, *facts, target]
            if (known := _facts(facts)) is not None:
                return [name, kind, *known, target]
    raise ProtocolError("an entry of a listing that makes no sense")


def happenings_of(rows: list[list[Any]]) -> list[object]:
    """What happened, as clients get it: ``[what, name, folder, cookie]``. Raises ProtocolError."""
    for row in rows:
        if len(row) != 4 or not _is_one(row[0], HAPPENINGS) or not _is_text(row[1], _MOST_NAME):
            raise ProtocolError("what happened to a file makes no sense")
        if type(row[2]) is not bool or not _is_count(row[3], _MOST_ID) or "/" in row[1]:
            raise ProtocolError("what happened to a file makes no sense")
    return list(rows)
