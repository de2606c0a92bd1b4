"""A shelf of artefacts: folders built once, found by key, never seen half-built.

Each artefact is a folder named by the digest of its inputs. It is built in a temporary folder beside its place, under
a lock that one process holds at a time, and renamed into place when whole. Its manifest records the size and digest
of every file; a file that is gone or has another size makes `find` say that the artefact is not there, and the next
build replaces it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.errors import ImageError, StorageError, from_os_error
from sandtop.core.guest.tools import Progress, run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

MANIFEST: Final = "manifest.json"
_TEMPORARY: Final = ".building-"
_SCRATCH: Final = ".scratch-"
_CHUNK: Final = 1 << 20


def digest_of(*parts: str | bytes) -> str:
    """The SHA-256 (hex) of ``parts``, each with its length before it so that no two lists collide."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()


def digest_extents(path: Path) -> str:
    """A digest of a file that may be mostly holes: of its size and of the bytes, with their places, that it has."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        state.update(path.stat().st_size.to_bytes(8, "big"))
        for start, end in extents(file.fileno()):
            state.update(start.to_bytes(8, "big"))
            for offset in range(start, end, _CHUNK):
                state.update(os.pread(file.fileno(), min(_CHUNK, end - offset), offset))
    return state.hexdigest()


def extents(descriptor: int) -> Generator[tuple[int, int]]:
    """The (start, end) of each run of data in a file, holes left out, in bytes."""
    end = 0
    while True:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def digest_tree(folder: Path, pattern: str) -> str:
    """The digest of the names and bytes of the files below ``folder`` that match ``pattern``."""
    parts: list[str | bytes] = []
    for path in sorted(folder.rglob(pattern)):
        parts += [path.relative_to(folder).as_posix(), path.read_bytes()]
    return digest_of(*parts)


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it, but nothing that is mounted there (a killed mmdebstrap may leave a /dev)."""
    run(["rm", "-rf", "--one-file-system", "--", path], f"removing {path}", timeout=120)


@contextlib.contextmanager
def locked(root: Path, waiting: Callable[[], None]) -> Generator[None]:
    """Hold the lock of the folder ``root``, creating it; ``waiting`` is called when another process has it.

    The kernel drops the lock with the process that held it. Raises `StorageError`.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise from_os_error(error, f"cannot use {root}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(root: Path) -> Generator[Path]:
    """A fresh folder in ``root``, gone afterwards. Whoever calls holds the lock, so older ones are leftovers."""
    remove_unfinished(root)
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=root))
    try:
        yield folder
    finally:
        remove_tree(folder)


@contextlib.contextmanager
def scratch_folder(root: Path) -> Generator[Path]:
    """As `temporary_folder`, for callers that hold no lock: there may be several such folders at once."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=root))
    try:
        yield folder
    finally:
        remove_tree(folder)


def remove_unfinished(root: Path) -> None:
    """Remove what processes that were killed had begun to build in ``root``. Whoever calls holds the lock."""
    for stale in root.glob(f"{_TEMPORARY}*"):
        remove_tree(stale)


def sync_file(path: Path) -> None:
    """Write the file's bytes to the disk, so that no rename is ever ahead of them after a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, data: object) -> None:
    """Replace the file at ``path`` in one step by ``data`` as JSON."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(json.dumps(data, indent=1, sort_keys=True))
        sync_file(fresh)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, object]:
    """The JSON object in the file; an empty one when the file is missing or damaged."""
    try:
        data: object = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return cast("dict[str, object]", data) if isinstance(data, dict) else {}


@dataclass(frozen=True, slots=True)
class Shelf:
    """The artefacts of one kind. ``what`` names the kind in errors; ``keep`` is how many stay after a build."""

    root: Path
    what: str
    keep: int

    def find(self, key: str) -> Path | None:
        """The folder of the artefact ``key``, or None when it is missing, unfinished or visibly damaged."""
        folder = self.root / key
        files = read_json(folder / MANIFEST)
        if not files:
            return None
        for name, recorded in files.items():
            try:
                size = (folder / name).stat().st_size
            except OSError:
                return None
            if not isinstance(recorded, list) or size != cast("list[object]", recorded)[0]:
                return None
        return folder

    def build(self, key: str, make: Callable[[Path], None], progress: Progress) -> Path:
        """The folder of the artefact ``key``; ``make`` fills an empty folder with it when it is not there yet.

        Raises what ``make`` raises, and `StorageError` for the disk's own errors.
        """
        with locked(self.root, lambda: progress(f"{self.what}: another process is building; waiting")):
            found = self.find(key)
            if found is not None:
                return found
            try:
                with temporary_folder(self.root) as folder:
                    fresh = folder / "artefact"
                    fresh.mkdir()
                    make(fresh)
                    _write_manifest(fresh)
                    place = self.root / key
                    if place.exists():
                        place.rename(folder / "damaged")
                    fresh.rename(place)
                self._trim()
            except OSError as error:
                raise from_os_error(error, f"building the {self.what}") from error
            return place

    def remove(self, key: str) -> None:
        """Remove the artefact, if it is there: what uses it holds its files open. Raises `StorageError`."""
        try:
            with locked(self.root, lambda: None):
                if (self.root / key).exists():
                    remove_tree(self.root / key)
        except OSError as error:
            raise from_os_error(error, f"removing the {self.what}") from error

    def current(self, recipe: str) -> Path | None:
        """The artefact that `set_current` named last for this ``recipe``, if it is still whole."""
        try:
            key = (self.root / f"current-{recipe}").read_text()
        except OSError:
            return None
        return self.find(key) if key else None

    def set_current(self, recipe: str, key: str) -> None:
        """Remember ``key`` as what `current` returns. Raises `StorageError`."""
        try:
            with locked(self.root, lambda: None):
                fresh = self.root / f".current-{recipe}.{os.getpid()}"
                fresh.write_text(key)
                fresh.replace(self.root / f"current-{recipe}")
        except OSError as error:
            raise from_os_error(error, f"cannot write to {self.root}") from error

    def _trim(self) -> None:
        """Unlink all but the newest artefacts: what uses an older one holds its files open."""
        folders = [path for path in self.root.iterdir() if (path / MANIFEST).exists()]
        folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for old in folders[self.keep :]:
            remove_tree(old)


def _write_manifest(folder: Path) -> None:
    files: dict[str, list[object]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            sync_file(path)
            files[path.relative_to(folder).as_posix()] = [path.stat().st_size, digest_extents(path)]
    if not files:
        raise ImageError(f"nothing was built in {folder}")
    write_json(folder / MANIFEST, files)


def disk_use(folder: Path) -> int:
    """Bytes that the files below ``folder`` take on the disk (holes do not count)."""
    total = 0
    try:
        for path in folder.rglob("*"):
            total += path.lstat().st_blocks * 512
    except (
        FileNotFoundError
    ):  # removed by somebody else while we looked: an estimate is all that is asked for
        return total
    except OSError as error:
        raise StorageError(f"cannot read {folder}: {error.strerror}") from error
    return total
