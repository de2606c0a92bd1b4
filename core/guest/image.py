"""The images that sandboxes start from: squashfs files named by the digest of their bytes, and names for them.

A name is one of the user's own, as ``tools``, or a container image's, as ``debian:12`` (see `Reference.familiar`).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from sandtop.core.errors import ImageError, InvalidRequest, NotFound, from_os_error
from sandtop.core.guest import squashfs
from sandtop.core.guest.containers import Kept, Reference
from sandtop.core.guest.store import locked, read_json, sync_file, temporary_folder, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from sandtop.core.guest.sources import Source
    from sandtop.core.guest.tools import Progress

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
BASE: Final = "base"
"""The name of the image that sandboxes start from when no other is named."""
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
        source: the description of its source: a path, the packages of ``base``, a pinned name in a registry.
        container: the container image that it was made of, or None.
    """

    name: str
    digest: str
    path: Path
    size: int
    created_at: float
    source: str
    container: Kept | None = None


@dataclass(frozen=True, slots=True)
class ImageStore:
    """The images below one folder. Safe for any number of processes at once."""

    root: Path

    def list(self) -> list[Image]:
        """All named images, by name. One whose file is gone or has another size is not among them."""
        keys = sorted(path.stem for path in (self.root / "names").glob("*.json"))
        return [image for key in keys if (image := self._read(key)) is not None]

    def find(self, name: str) -> Image | None:
        """The image called ``name``, or None when there is none or its file is damaged."""
        return next((image for key in _keys(name) if (image := self._read(key)) is not None), None)

    def _read(self, key: str) -> Image | None:
        facts = read_json(self._file(key))
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
        name = unquote(key)
        try:
            whole = path.stat().st_size == size
            raw = facts.get("container")
            container = Kept.from_json(raw, name) if isinstance(raw, dict) else None  # pyright: ignore[reportUnknownArgumentType]
        except (OSError, ImageError):
            return None
        return Image(name, digest, path, size, created_at, source, container) if whole else None

    def get(self, name: str) -> Image:
        """The image called ``name``.

        Raises `NotFound`, with a hint that lists the names there are, and `ImageError` when its file is damaged.
        """
        image = self.find(name)
        if image is None:
            if any(self._file(key).exists() for key in _keys(name)):
                raise ImageError(f"the image {name} is damaged", hint=f"run: {_how_to_make(name)}")
            names = ", ".join(known.name for known in self.list())
            fetched = (
                f"; one in a registry is fetched by: sandtop image pull {name}" if _is_remote(name) else ""
            )
            hint = f"there are: {names}{fetched}" if names else "run: sandtop image build base"
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
        check_name(name)
        return self._make(name, source, None, progress)

    def add_container(self, container: Kept, source: Source, progress: Progress) -> Image:
        """As `add`, for the image of a container, by its own name. Images with the same content share their file."""
        return self._make(container.name, source, container, progress)

    def _make(self, name: str, source: Source, container: Kept | None, progress: Progress) -> Image:
        try:
            with (
                locked(self.root, lambda: progress(f"image {name}: {_WAITING}")),
                temporary_folder(self.root) as folder,
            ):
                same = None if container is None else self._same(container)
                if same is None:
                    progress(f"image {name}: building from {source.description}")
                    digest, size = self._write(source, folder, lambda line: progress(f"image {name}: {line}"))
                else:
                    digest, size = same.digest, same.size
                image = Image(
                    name, digest, self.path_of(digest), size, time.time(), source.description, container
                )
                self._refer(image)
        except OSError as error:
            raise from_os_error(error, f"building the image {name}") from error
        progress(f"image {name}: {size / 1e6:.0f} MB")
        return image

    def tag(self, name: str, new: str, progress: Progress) -> Image:
        """Call the image ``name`` by the name ``new``, too, replacing that. Raises `NotFound`, `InvalidRequest`."""
        if not _NAME.fullmatch(new):
            new = Reference.parse(new).familiar
        with locked(self.root, lambda: progress(f"image {new}: {_WAITING}")):
            image = replace(self.get(name), name=new)
            self._refer(image)
        return image

    def _same(self, container: Kept) -> Image | None:
        """An image with the same content."""
        for image in self.list():
            if image.container is not None and image.container.content == container.content:
                return image
        return None

    def _write(self, source: Source, folder: Path, progress: Progress) -> tuple[str, int]:
        """Make the file; its digest and its size."""
        fresh, scratch = folder / "image", folder / "scratch"
        scratch.mkdir()
        source.write(fresh, scratch, progress)
        with fresh.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = fresh.stat().st_size
        sync_file(fresh)
        fresh.chmod(0o444)  # mapped by machines of several sandboxes: nobody writes to it
        fresh.replace(self.path_of(digest))
        return digest, size

    def _refer(self, image: Image) -> None:
        (self.root / "names").mkdir(exist_ok=True)
        facts = asdict(image)
        del facts["name"], facts["path"]
        write_json(self._file(quote(image.name, safe="")), facts)

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
                self._file(quote(image.name, safe="")).unlink(missing_ok=True)
                if all(other.digest != image.digest for other in self.list()):
                    image.path.unlink(missing_ok=True)
        except OSError as error:
            raise from_os_error(error, f"removing the image {name}") from error

    def prune(self, in_use: Callable[[], Collection[str]], progress: Progress) -> int:
        """Unlink the files that no name has any more, and whose digest is not ``in_use`` by a sandbox.

        ``in_use`` is called when the builds that were under way have ended. Returns the bytes of what is gone.
        """
        freed = 0
        with locked(self.root, lambda: progress(f"images: {_WAITING}")):
            keep = {image.digest for image in self.list()} | set(in_use())
            for path in self.root.glob("*.squashfs"):
                if path.stem not in keep:
                    freed += path.stat().st_size
                    path.unlink(missing_ok=True)
        return freed

    def _file(self, key: str) -> Path:
        return self.root / "names" / f"{key}.json"


def check_name(name: str) -> None:
    """Raises `InvalidRequest` for what no image of the user's own can be called."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r:.80} is no name for an image",
            hint="use a-z, 0-9, '.', '_' and '-', at most 63 characters",
        )


def _keys(name: str) -> list[str]:
    """What the file of an image called ``name`` may be called: its own name goes before one in a registry."""
    keys = [name] if _NAME.fullmatch(name) else []
    if name == BASE:
        return (
            keys  # that sandboxes start from when no other is named: never somebody's that is called the same
        )
    with contextlib.suppress(InvalidRequest):  # then it is no name of those
        keys.append(quote(Reference.parse(name).familiar, safe=""))
    return keys


def _is_remote(name: str) -> bool:
    """Whether a registry may have an image of this name."""
    return len(_keys(name)) > bool(_NAME.fullmatch(name))


def _how_to_make(name: str) -> str:
    return f"sandtop image {'build' if _NAME.fullmatch(name) else 'pull'} {name}"
