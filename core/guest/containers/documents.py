"""The JSON documents of container images, which nobody vouches for: manifests, lists of them, configurations.

Sources: OCI image specification, "Image Manifest", "Image Index", "Image Configuration"; Docker's "Image Manifest
Version 2, Schema 2", whose documents have the same fields.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Never

MAX_DOCUMENT: Final = 4 << 20
"""Bytes of one document: as many as registries' clients take (containers/image, internal/iolimits)."""
MAX_LAYERS: Final = 512
"""Docker makes at most 127."""
_LISTS: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_CONFIGS: Final = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a document says of another, or of a layer: its digest as ``sha256:…``, and its size in bytes."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of one image for one platform: its configuration, and its layers, the lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


def parse(data: bytes, doing: str) -> Mapping[str, object]:
    """The document ``data``. Raises `ImageError`, which begins with ``doing``, for what is none."""
    if len(data) > MAX_DOCUMENT:
        raise ImageError(f"{doing}: a document of more than {MAX_DOCUMENT >> 20} MiB")
    try:
        document: object = json.loads(data)
    except RecursionError:
        raise ImageError(f"{doing}: a document whose parts are in each other without end") from None
    except ValueError as error:
        raise ImageError(f"{doing}: a document that is no JSON") from error
    if not isinstance(document, dict):
        raise ImageError(f"{doing}: a document that is no JSON object")
    return cast("dict[str, object]", document)


def is_list(document: Mapping[str, object]) -> bool:
    """Whether it is a list of manifests, for several platforms."""
    return document.get("mediaType") in _LISTS or ("manifests" in document and "config" not in document)


def platform_of(document: Mapping[str, object], doing: str) -> Descriptor:
    """The entry for Linux on amd64 in a list of manifests. Raises `ImageError`, which says what there is instead."""
    found = list[str]()
    for entry in get_list(document, "manifests", doing):
        it = an_object(entry, doing)
        platform = get_object(it, "platform", doing)
        system, processor = platform.get("os", "linux"), platform.get("architecture", "amd64")
        if (system, processor) == ("linux", "amd64"):
            return descriptor(it, doing)
        if system != "unknown":  # what attests to how another was built
            found.append(f"{system}/{processor}"[:40])
    raise ImageError(f"{doing}: it is not for linux/amd64{_instead(found)}")


def _instead(found: list[str]) -> str:
    if not found:
        return ""
    some = ", ".join(dict.fromkeys(found[:8]))
    return f", but for {some}{' …' if len(found) > 8 else ''}"


def manifest(document: Mapping[str, object], doing: str) -> Manifest:
    """The manifest that the document is. Raises `ImageError`, also for what is no container image."""
    if document.get("schemaVersion") == 1:
        raise ImageError(f"{doing}: its manifest is in the format that Docker had before 2016")
    config = get_object(document, "config", doing)
    kind = config.get("mediaType", _CONFIGS[0])
    if kind not in _CONFIGS:
        raise ImageError(f"{doing}: it is no container image, but {str(kind)[:80]!r}")
    layers = get_list(document, "layers", doing)
    if len(layers) > MAX_LAYERS:
        raise ImageError(f"{doing}: it has {len(layers)} layers, more than {MAX_LAYERS}")
    made = list[Descriptor]()
    for layer in layers:
        it = an_object(layer, doing)
        if it.get("urls") and "foreign" in str(it.get("mediaType")):
            raise ImageError(f"{doing}: a layer that is not in the registry: {it.get('mediaType')!r:.80}")
        made.append(descriptor(it, doing))
    return Manifest(descriptor(config, doing), tuple(made))


def check_platform(config: Mapping[str, object], doing: str) -> None:
    """Raises `ImageError` when the image with this configuration is not for Linux on amd64."""
    system, processor = config.get("os") or "linux", config.get("architecture") or "amd64"
    if (system, processor) != ("linux", "amd64"):
        raise ImageError(f"{doing}: it is not for linux/amd64{_instead([f'{system}/{processor}'[:40]])}")


def diff_ids(config: Mapping[str, object], layers: int, doing: str) -> list[str]:
    """The digests of the tars of the ``layers`` layers. Raises `ImageError`."""
    found = get_list(get_object(config, "rootfs", doing), "diff_ids", doing)
    if len(found) != layers:
        raise ImageError(f"{doing}: it has {layers} layers, and by its config {len(found)}")
    return [digest(value, doing) for value in found]


def descriptor(document: Mapping[str, object], doing: str) -> Descriptor:
    """Raises `ImageError` where it lacks one."""
    size = document.get("size")
    if not isinstance(size, int) or size < 0:
        raise ImageError(f"{doing}: a size that is none: {size!r:.40}")
    return Descriptor(digest(document.get("digest"), doing), size)


def digest_of(data: bytes) -> str:
    """As documents have it: ``sha256:…``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest(value: object, doing: str) -> str:
    """``value`` when it is a digest that we know. Raises `ImageError`."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ImageError(f"{doing}: a digest that is no SHA-256: {value!r:.80}")
    return value


def an_object(value: object, doing: str) -> Mapping[str, object]:
    """``value`` when it is an object. Raises `ImageError`."""
    if not isinstance(value, dict):
        raise ImageError(f"{doing}: a document with something else in the place of an object")
    return cast("dict[str, object]", value)


def get_object(document: Mapping[str, object], key: str, doing: str) -> Mapping[str, object]:
    """The object called ``key``, empty where there is none. Raises `ImageError` when it is something else."""
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ImageError(f"{doing}: {key} is no object")
    return cast("dict[str, object]", value)


def get_list(document: Mapping[str, object], key: str, doing: str) -> list[object]:
    """As `get_object`, a list."""
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ImageError(f"{doing}: {key} is no list")
    return cast("list[object]", value)


def texts(document: Mapping[str, object], key: str, doing: str) -> list[str]:
    """As `get_list`, of texts."""
    found = get_list(document, key, doing)
    return [value if isinstance(value, str) else _no_text(key, doing) for value in found]


def _no_text(key: str, doing: str) -> Never:
    raise ImageError(f"{doing}: {key} has something that is no text")


def get_text(document: Mapping[str, object], key: str, doing: str) -> str:
    """As `get_object`, a text."""
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ImageError(f"{doing}: {key} is no text")
    return value
