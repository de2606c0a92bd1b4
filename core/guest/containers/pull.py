"""Fetching an image from a registry: its layers go to the store, those that are there are not fetched again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError, from_os_error
from sandtop.core.guest.containers import documents
from sandtop.core.guest.containers.kept import Kept
from sandtop.core.guest.containers.skopeo import PATIENCE, Registry
from sandtop.core.guest.store import digest_of, locked, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandtop.core.guest.containers.documents import Descriptor
    from sandtop.core.guest.containers.kept import Layers
    from sandtop.core.guest.containers.reference import Reference
    from sandtop.core.guest.tools import Progress

_STEPS: Final = 20
"""How often at most is told how much came: a client is told some two hundred things of one operation."""
_PART: Final = "oci-put-blob*"
"""What skopeo calls a layer, in the layout's folder, until it is whole."""


@dataclass(frozen=True, slots=True)
class Pull:
    """What is asked of a registry.

    Attributes:
        reference: which image.
        config: docker's configuration with the passwords, where it is not in its usual place.
        insecure: also without TLS, or with certificates that nobody vouches for.
        patience: seconds that the registry may send nothing.
    """

    reference: Reference
    config: Path | None = None
    insecure: bool = False
    patience: float = PATIENCE


def pull(store: Layers, wanted: Pull, known: str, progress: Progress) -> Kept | None:
    """The image, with all its layers in ``store``; None when the registry has it under the pinned name ``known``.

    Whoever calls holds the store `Layers.in_use`. Two who want one image at once fetch it once: the second waits.
    Raises `NotFound`, `ImageError`, `MissingDependency`, `StorageError`, which name the image.
    """
    reference = wanted.reference
    place = store.pulls / digest_of(reference.remote)
    registry = Registry(reference, wanted.config, wanted.insecure, wanted.patience)
    name = reference.familiar
    with locked(place, lambda: progress("it is being fetched already; waiting")):
        progress(f"asking {reference.registry}")
        data = registry.manifest(reference.remote)
        digest = documents.digest_of(data)
        if reference.digest and digest != reference.digest:
            raise ImageError(
                f"{name}: {reference.registry} has something else under this digest: {digest[:19]}…"
            )
        pinned = reference.pinned(digest)
        if pinned == known:
            return None
        document = documents.parse(data, name)
        exact = pinned
        if documents.is_list(document):
            ours = documents.platform_of(document, name).digest
            exact = reference.pinned(ours)
            data = registry.manifest(exact)
            if documents.digest_of(data) != ours:
                raise ImageError(
                    f"{name}: {reference.registry} sent a manifest that is not what its digest says"
                )
            document = documents.parse(data, name)
            if documents.is_list(document):
                raise ImageError(f"{name}: a list of manifests in a list of manifests")
        else:
            documents.manifest(document, name)
            documents.check_platform(documents.parse(registry.configuration(exact), name), name)
        offered = documents.manifest(document, name)
        try:
            with temporary_folder(place) as folder:
                kept = _fetch(store, registry, exact, offered, folder, progress)
        except OSError as error:
            raise from_os_error(error, f"fetching {name}") from error
        return Kept.of(store, kept, name, id=offered.config.digest, pinned=pinned)


def _fetch(
    store: Layers,
    registry: Registry,
    name: str,
    offered: documents.Manifest,
    folder: Path,
    progress: Progress,
) -> documents.Manifest:
    """Copy what ``offered`` has to the store; the manifest that it then has, which names the same layers."""
    doing = registry.reference.familiar
    _check_room(store, offered, doing)
    store.blobs.mkdir(exist_ok=True)
    layout = folder / "layout"
    watch = _Watch(store, layout, offered.layers, progress)
    registry.copy(name, layout, store.blobs, watch.look)
    watch.look()
    index = documents.parse((layout / "index.json").read_bytes(), doing)
    written = documents.platform_of(index, doing).digest
    made = documents.manifest(documents.parse(store.read(written, doing), doing), doing)
    if any(not store.has(blob) for blob in (made.config, *made.layers)):
        raise ImageError(f"{doing}: a layer is not as long as its manifest says")
    return made


def _check_room(store: Layers, offered: documents.Manifest, doing: str) -> None:
    """Raises `ImageError` when the layers that are to come need more room than the disk has."""
    needed = sum(layer.size for layer in {*offered.layers} if not store.has(layer))
    free = shutil.disk_usage(store.root).free
    if needed > free:
        raise ImageError(
            f"{doing}: its layers take {needed / 1e6:,.0f} MB, and the disk has {free / 1e6:,.0f} MB left",
            hint="free some space, or move SANDTOP_HOME to a larger disk",
        )


class _Watch:
    """Tells of layers that came, and how much of all."""

    def __init__(self, store: Layers, layout: Path, layers: Sequence[Descriptor], progress: Progress) -> None:
        self._store, self._layout, self._progress = store, layout, progress
        self._missing = {layer: number for number, layer in enumerate(layers, 1) if not store.has(layer)}
        self._count = len(layers)
        self._total = sum(layer.size for layer in self._missing)
        self._whole = 0
        self._told = 0
        if len(self._missing) < self._count:
            progress(f"{self._count - len(self._missing)} of {self._count} layers are here already")

    def look(self) -> int:
        """The bytes that came so far; tells what is new since the last look."""
        for layer, number in list(self._missing.items()):
            if self._store.has(layer):
                del self._missing[layer]
                self._whole += layer.size
                self._progress(
                    f"layer {number} of {self._count}, {layer.digest[7:19]}: {layer.size / 1e6:.1f} MB"
                )
        came = self._whole
        for part in self._layout.glob(_PART):
            try:
                came += part.stat().st_size
            except FileNotFoundError:  # whole, since we looked
                continue
        step = came * _STEPS // self._total if self._total else 0
        if step > self._told and self._missing:
            self._told = step
            self._progress(f"{came / 1e6:.0f} of {self._total / 1e6:.0f} MB")
        return came
