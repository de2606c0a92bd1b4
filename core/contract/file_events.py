"""What the connection of a stream about files carries; docs/protocol.md says when."""

from __future__ import annotations

from .file import FileInfo
from .record import Event

__all__ = ["FileChanges", "FileEntries", "FileInfo", "FileOpened"]


class FileOpened(Event, kind="opened"):
    """The file or folder is open, and this is what it is: nothing of what follows came before."""

    file: FileInfo


class FileEntries(Event, kind="entries"):
    """Some of what is in a folder: lists of ``[name, kind, size, mode, uid, gid, links, modified_at, target]``."""

    rows: list[object]


class FileChanges(Event, kind="changes"):
    """Something happened: lists of ``[what, name, directory, cookie]``."""

    rows: list[object]
