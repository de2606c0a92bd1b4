"""The images that sandboxes start from: squashfs files named by the digest of their bytes, and names for them."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError, InvalidRequest, NotFound, from_os_error
from sandtop.core.guest import squashfs
from sandtop.core.guest.store import locked, read_json, sync_file, temporary_folder, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from sandtop.core.guest.sources import Source
    from sandtop.core.guest.tools import Progress

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_AGAIN: Final = "build it again: sandtop image build"
_WAITING: Final = "another process is building; waiting"


@dataclass(frozen=True, slots=True)
class Image:
    """A named image.

    Attributes:
        name: what ``--image`` takes.
        digest: SHA-256 (hex) of the file's bytes; two names may share it.
        path: the squashfs file.
        size: of that file, in bytes.
        created_at: seconds since 1970.
        source: the description of its source: a path, or the packages of ``base``.
    """

    name: str
    digest: str
    path: Path
    size: int
    created_at: float
    source: str


@dataclass(frozen=True, slots=True)
class ImageStore:
    """The images below one folder. Safe for any number of processes at once."""

    root: Path

    def list(self) -> list[Image]:
        """All named images, by name. One whose file is gone or has another size is not among them."""
        found = [self.find(path.stem) for path in sorted((self.root / "names").glob("*.json"))]
        return [image for image in found if image is not None]

    def find(self, name: str) -> Image | None:
        """The image called ``name``, or None when there is none or its file is damaged."""
        if not _NAME.fullmatch(name):
            return None
        facts = read_json(self._reference(name))
        match facts:
            case {
                "digest": str(digest),
                "size": int(size),
                "created_at": int() | float() as created_at,
                "source": str(source),
            }:
                path = self.path_of(digest)
            case _:
                return None
        try:
            whole = path.stat().st_size == size
        except OSError:
            return None
        return Image(name, digest, path, size, created_at, source) if whole else None

    def get(self, name: str) -> Image:
        """The image called ``name``.

        Raises `NotFound`, with a hint that lists the names there are, and `ImageError` when its file is damaged.
        """
        image = self.find(name)
        if image is None:
            if _NAME.fullmatch(name) and self._reference(name).exists():
                raise ImageError(f"the image {name} is damaged", hint=f"run: sandtop image build {name}")
            names = ", ".join(known.name for known in self.list())
            hint = f"there are: {names}" if names else "run: sandtop image build base"
            raise NotFound(f"no image is called {name:.80}", hint=hint)
        return image

    def check(self, digest: str) -> Path:
        """The file of the image with this digest. Raises `ImageError` when it is gone or shorter than it should be."""
        path = self.path_of(digest)
        try:
            whole = squashfs.is_whole(path)
        except FileNotFoundError as error:
            raise ImageError(f"the image {digest[:12]} is gone", hint=_AGAIN) from error
        except OSError as error:
            raise from_os_error(error, f"cannot read the image {digest[:12]}") from error
        if not whole:
            raise ImageError(f"the image {digest[:12]} is damaged", hint=_AGAIN)
        return path

    def path_of(self, digest: str) -> Path:
        """Where the image with this digest is, whatever its name, if it is here."""
        return self.root / f"{digest}.squashfs"

    def add(self, name: str, source: Source, progress: Progress) -> Image:
        """Make an image called ``name`` of ``source``, replacing the name.

        Raises `InvalidRequest` for a name that cannot be, `StorageError`, and what `Source.write` raises.
        """
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                f"{name!r:.80} is no name for an image",
                hint="use a-z, 0-9, '.', '_' and '-', at most 63 characters",
            )
        progress(f"image {name}: building from {source.description}")
        try:
            with (
                locked(self.root, lambda: progress(f"image {name}: {_WAITING}")),
                temporary_folder(self.root) as folder,
            ):
                fresh, scratch = folder / "image", folder / "scratch"
                scratch.mkdir()
                source.write(fresh, scratch, lambda line: progress(f"image {name}: {line}"))
                with fresh.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = fresh.stat().st_size
                sync_file(fresh)
                fresh.chmod(0o444)  # mapped by machines of several sandboxes: nobody writes to it
                fresh.replace(self.path_of(digest))
                self._reference(name).parent.mkdir(exist_ok=True)
                image = Image(name, digest, self.path_of(digest), size, time.time(), source.description)
                facts = asdict(image)
                del facts["name"], facts["path"]
                write_json(self._reference(name), facts)
        except OSError as error:
            raise from_os_error(error, f"building the image {name}") from error
        progress(f"image {name}: {size / 1e6:.0f} MB")
        return image

    def remove(self, name: str, check: Callable[[Image], None], progress: Progress) -> None:
        """Forget the name, and unlink its file unless another name has the same.

        ``check`` raises for an image that must stay: it is asked at once, and again when the builds that were under way
        have ended, since one of them may have replaced the image. Raises `NotFound`, and what `get` raises.
        """
        check(self.get(name))
        try:
            with locked(self.root, lambda: progress(f"image {name}: {_WAITING}")):
                image = self.get(name)
                check(image)
                self._reference(name).unlink(missing_ok=True)
                if all(other.digest != image.digest for other in self.list()):
                    image.path.unlink(missing_ok=True)
        except OSError as error:
            raise from_os_error(error, f"removing the image {name}") from error

    def prune(self, in_use: Callable[[], Collection[str]], progress: Progress) -> None:
        """Unlink the files that no name has any more, and whose digest is not ``in_use`` by a sandbox.

        ``in_use`` is called when the builds that were under way have ended.
        """
        with locked(self.root, lambda: progress(f"images: {_WAITING}")):
            keep = {image.digest for image in self.list()} | set(in_use())
            for path in self.root.glob("*.squashfs"):
                if path.stem not in keep:
                    path.unlink(missing_ok=True)

    def _reference(self, name: str) -> Path:
        return self.root / "names" / f"{name}.json"
