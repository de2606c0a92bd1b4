"""Images in files: what ``docker save`` writes, OCI archives, OCI layouts. Their layers go to the store.

Sources: Docker's "Image Specification v1.2" (``manifest.json``); OCI image specification, "Image Layout".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError, InvalidRequest, from_os_error
from sandtop.core.guest.containers import bundle, documents
from sandtop.core.guest.containers.documents import Descriptor, Manifest
from sandtop.core.guest.containers.kept import Kept
from sandtop.core.guest.containers.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sandtop.core.guest.containers.bundle import Bundle
    from sandtop.core.guest.containers.kept import Layers
    from sandtop.core.guest.tools import Progress

_INDEX: Final = "index.json"
_MANIFEST: Final = "manifest.json"
_NAMES: Final = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
"""The annotations that have an image's name: containerd's and docker's, then the specification's, often a tag."""
_DEEP: Final = 4
"""Lists of manifests in lists."""
_MAX_IMAGES: Final = 100


def load(store: Layers, path: Path, name: str | None, scratch: Path, progress: Progress) -> list[Kept]:
    """The images in the file or folder ``path``, with all their layers in ``store``.

    They are called what they say, and ``name`` in place of that when there is one alone. Whoever calls holds the store
    `Layers.in_use`; ``scratch`` is an empty folder. Raises `InvalidRequest` for what has no images, or no names,
    `ImageError` for what is damaged or refused, `StorageError`.
    """
    try:
        with bundle.opened(path, scratch) as source:
            if source.has(_MANIFEST):
                found = _of_docker(store, source, str(path), progress)
            elif source.has(_INDEX):
                found = _of_layout(store, source, str(path), progress)
            else:
                raise InvalidRequest(
                    f"{path} has no image of docker save or OCI in it",
                    hint=f"is it a root file system? then: sandtop image build NAME --from {path}",
                )
            return [
                Kept.of(store, manifest, called) for manifest, called in _named(list(found), name, str(path))
            ]
    except OSError as error:
        raise from_os_error(error, f"loading {path}") from error


def _named(
    found: list[tuple[Manifest, list[str]]], name: str | None, path: str
) -> Iterator[tuple[Manifest, str]]:
    if not found:
        raise InvalidRequest(f"{path} has no images in it")
    if name is not None:
        if len(found) > 1:
            raise InvalidRequest(f"{path} has {len(found)} images, which cannot all be called {name:.80}")
        yield found[0][0], name
        return
    for manifest, names in found:
        if not names:
            raise InvalidRequest(f"{path} has an image without a name", hint="give it one: --name NAME")
        for each in dict.fromkeys(names):
            yield manifest, Reference.parse(each).familiar if {":", "/"} & {*each} else each


def _of_docker(
    store: Layers, source: Bundle, path: str, progress: Progress
) -> Iterator[tuple[Manifest, list[str]]]:
    """The images that docker's manifest.json lists, with their names."""
    data = bundle.document(source, _MANIFEST, path)
    entries = documents.get_list(documents.parse(b'{"images": %b}' % data, path), "images", path)
    if len(entries) > _MAX_IMAGES:
        raise ImageError(f"{path}: {len(entries)} images, more than {_MAX_IMAGES}")
    for entry in entries:
        it = documents.an_object(entry, path)
        config = _keep(store, source, documents.get_text(it, "Config", path), path)
        names = documents.texts(it, "Layers", path)
        if len(names) > documents.MAX_LAYERS:
            raise ImageError(f"{path}: {len(names)} layers, more than {documents.MAX_LAYERS}")
        layers = list[Descriptor]()
        for number, name in enumerate(names, 1):
            layers.append(_keep(store, source, name, path))
            _tell(progress, number, len(names), layers[-1])
        yield Manifest(config, tuple(layers)), documents.texts(it, "RepoTags", path)


def _keep(store: Layers, source: Bundle, name: str, path: str) -> Descriptor:
    with source.opened(name) as (file, size):
        return store.add(file, size, None, f"{path}: {name:.80}")


def _of_layout(
    store: Layers, source: Bundle, path: str, progress: Progress
) -> Iterator[tuple[Manifest, list[str]]]:
    """The images that the index of an OCI layout lists, with their names."""
    index = documents.parse(bundle.document(source, _INDEX, path), path)
    entries = documents.get_list(index, "manifests", path)
    if len(entries) > _MAX_IMAGES:
        raise ImageError(f"{path}: {len(entries)} images, more than {_MAX_IMAGES}")
    known = [documents.an_object(entry, path) for entry in entries]
    named = [(documents.descriptor(entry, path), _names(entry, path)) for entry in known]
    if not any(names for _, names in named) and len(named) > 1:
        named = [(documents.platform_of(index, path), list[str]())]  # the platforms of one image
    for which, names in named:
        manifest = _manifest(source, which, path)
        for number, blob in enumerate((manifest.config, *manifest.layers)):
            if not store.has(blob):
                with source.opened(_blob(blob)) as (file, size):
                    store.add(file, size, blob.digest, f"{path}: {_blob(blob)[:80]}")
            if number:
                _tell(progress, number, len(manifest.layers), blob)
        yield manifest, names


def _names(entry: Mapping[str, object], path: str) -> list[str]:
    """What an entry of the index says that its image is called."""
    notes = documents.get_object(entry, "annotations", path)
    for key in _NAMES:
        if name := documents.get_text(notes, key, path):
            return [name]
    return []


def _manifest(source: Bundle, which: Descriptor, path: str) -> Manifest:
    """The manifest, through lists of them. Raises `ImageError`."""
    for _ in range(_DEEP):
        document = documents.parse(_checked(source, which, path), path)
        if not documents.is_list(document):
            return documents.manifest(document, path)
        which = documents.platform_of(document, path)
    raise ImageError(f"{path}: lists of manifests in lists, more than {_DEEP} deep")


def _checked(source: Bundle, which: Descriptor, path: str) -> bytes:
    data = bundle.document(source, _blob(which), path)
    if documents.digest_of(data) != which.digest:
        raise ImageError(f"{path}: {_blob(which)[:40]}… is not what its digest says")
    return data


def _blob(which: Descriptor) -> str:
    return f"blobs/{which.digest.replace(':', '/')}"


def _tell(progress: Progress, number: int, count: int, layer: Descriptor) -> None:
    progress(f"layer {number} of {count}, {layer.digest[7:19]}: {layer.size / 1e6:.1f} MB")
