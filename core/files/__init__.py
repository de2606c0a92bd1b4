"""Files of a sandbox: calls to the file servers that its agent forks, and what these answer, checked."""

from __future__ import annotations

from sandtop.core.files.call import FileFailed, FilesLost
from sandtop.core.files.reports import Lines, entries_of, happenings_of, info_of
from sandtop.core.files.servers import Caller, FileServers
from sandtop.core.files.tunnel import Kind

__all__ = [
    "Caller",
    "FileFailed",
    "FileServers",
    "FilesLost",
    "Kind",
    "Lines",
    "entries_of",
    "happenings_of",
    "info_of",
]
