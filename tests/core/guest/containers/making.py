"""Container images as a test wants them: layers of tar members, a configuration, and an OCI layout of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ...tar.making import END

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
AMD64: Final = {"os": "linux", "architecture": "amd64"}


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Layout:
    """An OCI layout that is being made. Whatever is wrong with it is what a test put there."""

    root: Path
    index: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def blob(self, data: bytes, kind: str = "") -> dict[str, Any]:
        """Keep ``data``; its descriptor."""
        path = self.root / "blobs" / digest_of(data).replace(":", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}

    def image(
        self,
        *layers: bytes,
        name: str | None = None,
        config: Mapping[str, object] | None = None,
        packed: str = "gzip",
        platform: Mapping[str, str] = AMD64,
        diff_ids: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """An image of these tars; the descriptor of its manifest. With a ``name`` it is in the index."""
        whole = [layer if layer.endswith(END) else layer + END for layer in layers]
        described = [
            self.blob(_packed(layer, packed), _LAYER + {"gzip": "+gzip", "zstd": "+zstd"}.get(packed, ""))
            for layer in whole
        ]
        document = {
            **platform,
            "config": dict(config or {}),
            "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest_of(layer) for layer in whole]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(json.dumps(document).encode(), _CONFIG),
            "layers": described,
        }
        made = self.blob(json.dumps(manifest).encode(), MANIFEST)
        if name is not None:
            self.index.append({**made, "annotations": {"org.opencontainers.image.ref.name": name}})
            self.write()
        return made

    def list_of(self, *manifests: dict[str, Any], name: str | None = None) -> dict[str, Any]:
        """A list of manifests, as for several platforms."""
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        made = self.blob(json.dumps(document).encode(), INDEX)
        if name is not None:
            self.index.append({**made, "annotations": {"org.opencontainers.image.ref.name": name}})
            self.write()
        return made

    def write(self) -> None:
        (self.root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.index}))

    def archive(self, path: Path) -> Path:
        """The layout as one tar."""
        with tarfile.open(path, "w") as tar:
            tar.add(self.root, ".")
        return path


def docker_save(path: Path, *images: tuple[Sequence[bytes], Sequence[str], Mapping[str, object]]) -> Path:
    """What ``docker save`` writes, before its release 25: of each image layers, names and configuration."""
    with tarfile.open(path, "w") as tar:

        def add(name: str, data: bytes) -> str:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            return name

        manifest = list[dict[str, object]]()
        for layers, names, config in images:
            whole = [layer + END for layer in layers]
            ids = [digest_of(layer) for layer in whole]
            document = {**AMD64, "config": dict(config), "rootfs": {"type": "layers", "diff_ids": ids}}
            text = json.dumps(document).encode()
            manifest.append(
                {
                    "Config": add(f"{digest_of(text)[7:]}.json", text),
                    "RepoTags": list(names),
                    "Layers": [
                        add(f"{digest[7:]}/layer.tar", layer)
                        for digest, layer in zip(ids, whole, strict=True)
                    ],
                }
            )
        add("manifest.json", json.dumps(manifest).encode())
    return path


def _packed(data: bytes, by: str) -> bytes:
    if by == "gzip":
        return gzip.compress(data, 1, mtime=0)
    if by == "zstd":
        return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True, timeout=60).stdout
    return data
