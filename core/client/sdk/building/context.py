"""The context of a build: a folder of this host, and what of it an instruction copies. Blocking."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import posixpath
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop.core.dockerfile import Ignore
from sandtop.core.errors import InvalidRequest
from sandtop.core.tar.reader import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_IGNORE: Final = ".dockerignore"
_MAX_IGNORE: Final = 1 << 20
_MAX_FILES: Final = 1_000_000
_BLOCK: Final = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to be copied: what is at ``path``, as ``name`` in the archive. ``mode`` has the kind, too."""

    path: str
    name: str
    mode: int


@dataclass(frozen=True, slots=True)
class Selected:
    """What the sources of a COPY come to.

    Attributes:
        entries: each folder before what is in it.
        into_folder: whether they need a folder to be copied into, whatever their target is called.
    """

    entries: tuple[Entry, ...]
    into_folder: bool

    def digest(self) -> str:
        """The same for what makes the same files; times are not in it. Raises `InvalidRequest`."""
        sha256 = hashlib.sha256()
        for entry in self.entries:
            facts = [entry.name, entry.mode, _content(entry)]
            sha256.update(json.dumps(facts).encode() + b"\n")
        return sha256.hexdigest()

    def packed(self, mode: int | None, *, into_folder: bool) -> Iterator[bytes]:
        """A tar of them, with ``mode`` in place of their own; below a folder where one is needed, or said to be.

        Raises `InvalidRequest` for one that is gone.
        """
        into_folder = into_folder or self.into_folder
        if into_folder:
            folder = tarfile.TarInfo("./")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            yield _header(folder)
        for entry in self.entries:
            yield from _packed(
                entry, f"./{posixpath.normpath(entry.name)}" if into_folder else entry.name, mode
            )
        yield bytes(2 * _BLOCK)


class Context:
    """The folder ``root``, without what its ``.dockerignore`` hides."""

    def __init__(self, root: Path) -> None:
        """Raises `InvalidRequest`."""
        self._root = Path(os.path.realpath(root))
        if not self._root.is_dir():
            raise InvalidRequest(f"{root} is no folder", hint="the context is what COPY takes files from")
        self._ignore = _ignore(self._root / _IGNORE)

    def select(self, sources: Sequence[str]) -> Selected:
        """What ``sources``, paths and patterns of an instruction, are. Raises `InvalidRequest`."""
        entries, folders = list[Entry](), False
        count = 0
        for source in sources:
            for found in self._matching(source):
                count += 1
                path = self._inside(found, source)
                if path.is_dir():
                    folders = True
                    entries += self._below(path, found)
                else:
                    entries.append(_entry(str(path), posixpath.basename(found)))
        if len(entries) > _MAX_FILES:
            raise InvalidRequest(
                f"more than {_MAX_FILES:,} files in the context", hint=f"is there a {_IGNORE}?"
            )
        return Selected(tuple(entries), folders or count > 1)

    def _matching(self, source: str) -> list[str]:
        """The paths, from the root, that a source means."""
        cleaned = posixpath.normpath("/" + source).lstrip("/")
        if not cleaned:
            return [""]
        found = [""]
        for part in cleaned.split("/"):
            found = [path for above in found for path in self._named(above, part)]
        shown = [path for path in found if not self._ignore.hides(path) or self._holds(path)]
        if not shown:
            hint = f"{_IGNORE} hides it" if found else None
            raise InvalidRequest(f"{source!r:.80} is not in the context", hint=hint)
        return shown

    def _holds(self, path: str) -> bool:
        """Whether something in a folder that is hidden is not."""
        return self._ignore.excepts and (self._root / path).is_dir()

    def _named(self, above: str, part: str) -> list[str]:
        lead = f"{above}/" if above else ""
        if not {*"*?["} & {*part}:
            return [lead + part] if os.path.lexists(self._root / (lead + part)) else []
        try:
            names = sorted(os.listdir(self._root / above))
        except OSError:
            return []
        return [lead + name for name in names if fnmatch.fnmatchcase(name, part)]

    def _inside(self, path: str, source: str) -> Path:
        """Where it is, behind links. Raises `InvalidRequest` when that is outside of the context, or nowhere."""
        found = Path(os.path.realpath(self._root / path))
        if not found.is_relative_to(self._root):
            raise InvalidRequest(f"{source!r:.80} is a link that leads out of the context")
        if not found.exists():
            raise InvalidRequest(f"{source!r:.80} is a link to nothing")
        return found

    def _below(self, folder: Path, name: str) -> Iterator[Entry]:
        """What is in ``folder``, which the context has as ``name``."""
        pending = [(folder, name, ".")]
        while pending:
            at, path, arcname = pending.pop()
            try:
                names = sorted(os.listdir(at))
            except OSError as error:
                raise InvalidRequest(f"{at}: {error.strerror}") from error
            below = list[tuple[Path, str, str]]()
            for each in names:
                whole = f"{path}/{each}".lstrip("/")
                entry = _entry(str(at / each), f"{arcname}/{each}")
                is_folder = stat.S_ISDIR(entry.mode)
                hidden = self._ignore.hides(whole)
                if is_folder and (not hidden or self._ignore.excepts):
                    below.append((at / each, whole, entry.name))
                if not hidden:
                    yield entry
            pending += reversed(below)


def _ignore(path: Path) -> Ignore:
    try:
        with path.open("rb") as file:
            return Ignore(file.read(_MAX_IGNORE).decode("utf-8", "surrogateescape"))
    except FileNotFoundError:
        return Ignore()
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}") from error


def _entry(path: str, name: str) -> Entry:
    try:
        return Entry(path, name, os.lstat(path).st_mode)
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}") from error


def _content(entry: Entry) -> str:
    try:
        if stat.S_ISREG(entry.mode):
            with open(entry.path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        return os.readlink(entry.path) if stat.S_ISLNK(entry.mode) else ""
    except OSError as error:
        raise InvalidRequest(f"{entry.path}: {error.strerror}") from error


def _packed(entry: Entry, name: str, mode: int | None) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.mode = stat.S_IMODE(entry.mode) if mode is None else mode
    try:
        info.mtime = int(os.lstat(entry.path).st_mtime)
        if stat.S_ISDIR(entry.mode):
            info.type = tarfile.DIRTYPE
            yield _header(info)
        elif stat.S_ISLNK(entry.mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(entry.path)
            yield _header(info)
        elif stat.S_ISREG(entry.mode):
            yield from _file(entry.path, info)
    except OSError as error:
        raise InvalidRequest(f"{entry.path}: {error.strerror}") from error


def _file(path: str, info: tarfile.TarInfo) -> Iterator[bytes]:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        info.size = left = os.fstat(file.fileno()).st_size
        yield _header(info)
        while left:
            data = file.read(min(left, CHUNK))
            if not data:
                raise InvalidRequest(f"{path} became shorter while it was read")
            left -= len(data)
            yield data
    yield bytes(-info.size % _BLOCK)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
