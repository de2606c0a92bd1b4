"""The layers and configurations of container images, each kept once, by its digest, and shared by all that have it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError, from_os_error
from sandtop.core.guest.containers import documents
from sandtop.core.guest.containers.config import ContainerConfig
from sandtop.core.guest.containers.documents import Descriptor
from sandtop.core.guest.sources import Layer, Layered
from sandtop.core.guest.store import digest_of, remove_tree
from sandtop.core.paths import SPOOLED

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping
    from pathlib import Path
    from typing import BinaryIO

PATIENCE: Final = 86400.0
"""Seconds that layers which no image has yet stay: a pull that was cut off goes on from them."""
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Layers:
    """The store below ``root``. Safe for any number of processes at once."""

    root: Path

    @property
    def blobs(self) -> Path:
        """The folder that an OCI layout's blobs are in: ``sha256/HEX`` below it."""
        return self.root / "blobs"

    def path_of(self, digest: str) -> Path:
        """Where what has this digest is, if it is here."""
        return self.blobs.joinpath(*digest.split(":", 1))

    def has(self, blob: Descriptor) -> bool:
        """Whether it is here, in the size that it is to have."""
        try:
            return self.path_of(blob.digest).stat().st_size == blob.size
        except OSError:
            return False

    def read(self, digest: str, doing: str) -> bytes:
        """A document that is here. Raises `ImageError` for one that is gone, damaged or too long."""
        try:
            with self.path_of(digest).open("rb") as file:
                data = file.read(documents.MAX_DOCUMENT + 1)
        except FileNotFoundError as error:
            raise ImageError(f"{doing}: {digest[:19]} is gone") from error
        if len(data) <= documents.MAX_DOCUMENT and f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise ImageError(f"{doing}: {digest[:19]} is damaged")
        return data

    def add(self, source: BinaryIO, size: int, digest: str | None, doing: str) -> Descriptor:
        """Keep the next ``size`` bytes of ``source``. Raises `ImageError` for fewer, or not of ``digest``."""
        left = size
        with self.incoming() as fresh:
            while left and (data := source.read(min(left, _CHUNK))):
                left -= len(data)
                fresh.write(data)
            if left:
                raise ImageError(f"{doing}: it ends in the middle")
            if digest is not None and fresh.digest != digest:
                raise ImageError(f"{doing}: its digest is {fresh.digest[:19]}…, and should be {digest[:19]}…")
            return fresh.keep()

    @contextlib.contextmanager
    def incoming(self) -> Generator[Incoming]:
        """Something that is written piece by piece; what is not kept in the end is removed."""
        folder = self.blobs / "sha256"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f".{os.getpid()}-{time.monotonic_ns()}"
        try:
            with path.open("xb") as file:
                yield Incoming(self, file)
        finally:
            path.unlink(missing_ok=True)

    def drop_damaged(self, layers: Collection[Descriptor]) -> None:
        """Remove those of ``layers`` whose bytes are not what their digests say: they are fetched again. Reads all."""
        for layer in layers:
            path = self.path_of(layer.digest)
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                if f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" != layer.digest:
                    path.unlink()

    @contextlib.contextmanager
    def in_use(self) -> Generator[None]:
        """While this lasts nothing is swept. Raises `StorageError`."""
        with self._lock(fcntl.LOCK_SH):
            yield

    def sweep(
        self, keep: Collection[str], *, patience: float, unused: Collection[str] = (), since: float = math.inf
    ) -> int:
        """Remove all but the digests ``keep`` that came over ``patience`` seconds ago. Returns the bytes of that.

        Of those, the digests ``unused``, and what came at the time ``since`` and later, go at once. Does nothing while
        something is pulled or loaded.
        """
        freed, before = 0, time.time() - patience
        try:
            with self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
                for leftover in (self.pulls, *self.root.glob(".scratch-*")):
                    remove_tree(leftover)
                for path in self.root.glob(
                    f"{SPOOLED}*"
                ):  # of a client that was killed, or that is still writing
                    if path.stat().st_mtime <= time.time() - PATIENCE:
                        path.unlink()
                for path in (self.blobs / "sha256").glob("*"):
                    stat = path.stat()
                    digest = f"sha256:{path.name}"
                    if digest not in keep and (not before < stat.st_mtime < since or digest in unused):
                        path.unlink()
                        freed += stat.st_size
        except BlockingIOError:
            return 0
        return freed

    @property
    def pulls(self) -> Path:
        """A folder for each image that is being pulled, named by `digest_of` its name."""
        return self.root / "pulls"

    @contextlib.contextmanager
    def _lock(self, kind: int) -> Generator[None]:
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise from_os_error(error, f"cannot use {self.root}") from error
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers, the lowest first, and the digests of their tars."""

    layers: tuple[Descriptor, ...] = ()
    diff_ids: tuple[str, ...] = ()

    def with_tar(self, tar: Descriptor) -> Stack:
        """And, on top, one that is not compressed."""
        return Stack((*self.layers, tar), (*self.diff_ids, tar.digest))


class Incoming:
    """What comes for the store, as it is written to ``file``.

    Attributes:
        size: bytes so far.
    """

    def __init__(self, store: Layers, file: BinaryIO) -> None:
        self.size = 0
        self._store = store
        self._file = file
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Raises OSError."""
        self.size += len(data)
        self._sha256.update(data)
        self._file.write(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha256.hexdigest()}"

    def keep(self) -> Descriptor:
        """Put the layer, which is whole, into the store; what it is."""
        self._file.flush()
        os.replace(self._file.name, self._store.path_of(self.digest))
        return Descriptor(self.digest, self.size)


@dataclass(frozen=True, slots=True)
class Kept:
    """A container image whose layers are here.

    Attributes:
        name: what it is to be called.
        id: the digest of its configuration where it comes from: IMAGE ID of ``docker images``.
        pinned: where it comes from, by the digest that the registry has it under; empty for one that was loaded.
        content: the same for images that differ in nothing that a sandbox could see.
        config: the defaults that it has.
        layers: the lowest first.
        diff_ids: the digests of their tars.
        made: how it was made here, in words; empty for one that was pulled or loaded.
    """

    name: str
    id: str
    pinned: str
    content: str
    config: ContainerConfig
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[str, ...]
    made: str = ""

    @classmethod
    def of(
        cls, store: Layers, manifest: documents.Manifest, name: str, *, id: str = "", pinned: str = ""
    ) -> Kept:
        """The image with this manifest. Raises `ImageError` for a configuration that is damaged or refused."""
        document = documents.parse(store.read(manifest.config.digest, name), name)
        documents.check_platform(document, name)
        return cls(
            name=name,
            id=id or manifest.config.digest,
            pinned=pinned,
            content=digest_of(manifest.config.digest, *(layer.digest for layer in manifest.layers)),
            config=ContainerConfig.of(document, name),
            layers=manifest.layers,
            diff_ids=tuple(documents.diff_ids(document, len(manifest.layers), name)),
        )

    @classmethod
    def from_json(cls, data: Mapping[str, object], name: str) -> Kept:
        """The inverse of `dataclasses.asdict`. Raises `ImageError`."""
        layers = list[Descriptor]()
        for layer in documents.get_list(data, "layers", name):
            layers.append(documents.descriptor(documents.an_object(layer, name), name))
        return cls(
            name=name,
            id=documents.digest(data.get("id"), name),
            pinned=documents.get_text(data, "pinned", name),
            content=documents.get_text(data, "content", name),
            config=ContainerConfig.from_json(documents.get_object(data, "config", name), name),
            layers=tuple(layers),
            diff_ids=tuple(
                documents.digest(value, name) for value in documents.get_list(data, "diff_ids", name)
            ),
            made=documents.get_text(data, "made", name),
        )

    @classmethod
    def of_stack(cls, stack: Stack, name: str, config: ContainerConfig, made: str) -> Kept:
        """An image of layers that were made here. Raises `ImageError` for a configuration that cannot be."""
        document = {
            "architecture": "amd64",
            "os": "linux",
            "config": config.document(),
            "rootfs": {"type": "layers", "diff_ids": [*stack.diff_ids]},
        }
        config = ContainerConfig.of(document, name)
        folders = (config.workdir, *config.volumes)
        return cls(
            name=name,
            id=documents.digest_of(json.dumps(document, sort_keys=True).encode()),
            pinned="",
            content=digest_of("stack", *folders, *(layer.digest for layer in stack.layers)),
            config=config,
            layers=stack.layers,
            diff_ids=stack.diff_ids,
            made=made,
        )

    @property
    def stack(self) -> Stack:
        """Its layers."""
        return Stack(self.layers, self.diff_ids)

    @property
    def digests(self) -> set[str]:
        """The digests of what the store keeps of this image: its layers."""
        return {layer.digest for layer in self.layers}

    @property
    def description(self) -> str:
        """What it was made from, for people."""
        return self.pinned or self.made or f"{self.name}, loaded"

    def source(self, store: Layers) -> Layered:
        """Its root file system."""
        layers = [
            Layer(store.path_of(layer.digest), layer.digest, diff_id)
            for layer, diff_id in zip(self.layers, self.diff_ids, strict=True)
        ]
        folders = [path for path in (self.config.workdir, *self.config.volumes) if path]
        if not layers:  # as of a Dockerfile FROM scratch: there must be something
            folders.append("/tmp")
        return Layered(self.description, layers, folders)
