"""``file.…``: the files of a sandbox, as a user of it sees them."""

from __future__ import annotations

from .record import Change, Nothing, Record, Request, Stream

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .limits import FileMode, Offset, Text


class FileInfo(Record):
    """What is known of a file.

    Attributes:
        path: where it is, as asked.
        name: the last part of that.
        kind: ``file``, ``directory``, ``symlink``, ``fifo``, ``socket``, ``block``, ``character``; or ``unknown``, for
            an entry of a folder whose entries may not be looked at. Then all that follows is None.
        size: bytes.
        mode: permission bits, also set-user-ID, set-group-ID and the sticky bit.
        uid, gid: the owner's numbers.
        links: how many names it has.
        modified_at: seconds since the epoch.
        target: where a symbolic link leads.
    """

    path: str
    name: str
    kind: str
    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    links: int | None = None
    modified_at: float | None = None
    target: str | None = None


class FileAnswer(Record):
    """The file as it is now."""

    file: FileInfo


class FileStat(Request[FileAnswer], op="file.stat"):
    """What is at ``path``.

    Attributes:
        path: relative ones begin at the sandbox's workdir; so for all here.
        user: as whom, ``name``, ``uid``, ``uid:gid`` or ``name:group``; None: the sandbox's own. So for all here.
        follow: behind a symbolic link.
    """

    sandbox: str
    path: Text
    user: Text | None = None
    follow: bool = True


class FileRead(Stream[Nothing], op="file.read"):
    """The content of a regular file. ``offset``: where to begin; ``length``: so many bytes at the most."""

    sandbox: str
    path: Text
    user: Text | None = None
    offset: Offset = 0
    length: Offset | None = None


class FileWrite(Stream[FileAnswer], op="file.write"):
    """Make what the client sends the content of a file, as a whole.

    Attributes:
        mode: permission bits; None: those that it has, or 0644.
        parents: make folders that are missing.
    """

    sandbox: str
    path: Text
    user: Text | None = None
    mode: FileMode | None = None
    parents: bool = False


class FileList(Stream[Nothing], op="file.list"):
    """What is in a folder, in no order."""

    sandbox: str
    path: Text
    user: Text | None = None


class FileWatch(Stream[Nothing], op="file.watch"):
    """What happens to a file, or to what is in a folder, until it is gone."""

    sandbox: str
    path: Text
    user: Text | None = None


class FileMkdir(Change[FileAnswer], op="file.mkdir"):
    """Make a folder. ``parents``: and those above it, and no error if it is there; ``mode``: its permission bits."""

    sandbox: str
    path: Text
    user: Text | None = None
    mode: FileMode | None = None
    parents: bool = False


class FileRemove(Change[Nothing], op="file.rm"):
    """Remove a file or link; with ``recursive`` also a folder and all that is in it."""

    sandbox: str
    path: Text
    user: Text | None = None
    recursive: bool = False


class FileRename(Change[Nothing], op="file.rename"):
    """Give a file or folder another path, ``target``, on the same file system. A file that is there is replaced."""

    sandbox: str
    path: Text
    target: Text
    user: Text | None = None
