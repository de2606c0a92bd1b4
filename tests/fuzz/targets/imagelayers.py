"""Layers of any kind, one over the other: what mksquashfs is given has each name once, and none that leads anywhere."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.core.tar.making import END, file, folder, hard_link, link, sparse
from tests.fuzz.target import Budget
from tests.fuzz.targets.imagetar import check
from tests.fuzz.tars import archive, summed

from sandtop.core.errors import ImageError
from sandtop.core.guest.sources.layertar import convert

if TYPE_CHECKING:
    import random

_APART: Final = b"\0layer\0"
"""Between two layers of an input."""


class _ImageLayers:
    budget: Final = Budget(cpu=0.5, cpu_per_kib=0.05, memory=64 << 20, hang=20.0)
    seeds: Final = (
        _APART.join((folder(b"d") + file(b"d/a") + END, file(b"d/.wh.a") + file(b"d/.wh..wh..opq") + END)),
        _APART.join(
            (link(b"l", b"d") + file(b"x") + END, file(b"l/f") + hard_link(b"h", b"x") + file(b".wh.x") + END)
        ),
        _APART.join(
            (file(b"f") + END, folder(b"f") + file(b"f/g") + END, file(b"f/.wh.g") + file(b".wh.f") + END)
        ),
        _APART.join((sparse(b"s", 1 << 20, b"1\n4097\n4\n", b"data") + END, file(b".wh..wh.plnk/1") + END)),
    )
    mutate: Final = True

    def generate(self, rng: random.Random) -> bytes:
        return _APART.join(archive(rng) for _ in range(rng.randint(1, 3)))

    def run(self, data: bytes) -> None:
        out = io.BytesIO()
        message = ""
        with tempfile.TemporaryDirectory(prefix="imagelayers-") as text:
            order = _order(Path(text), [summed(layer) for layer in data.split(_APART)[:8]])
            descriptors = len(os.listdir("/proc/self/fd"))
            try:
                convert(str(order), out)
            except ImageError as error:
                message = str(error)
            assert len(os.listdir("/proc/self/fd")) == descriptors, "descriptors are left open"
        assert len(message) < 1000, "a message without end"
        assert message.isprintable(), "a message that a terminal might obey"
        if not message:
            check(out.getvalue())


def _order(place: Path, layers: list[bytes]) -> Path:
    """What `convert` takes for these layers, whose digests are right."""
    described = list[dict[str, str]]()
    for number, layer in enumerate(layers):
        path = place / str(number)
        path.write_bytes(layer)
        digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
        described.append({"path": str(path), "digest": digest, "diff_id": digest})
    (place / "order").write_text(json.dumps({"layers": described, "folders": ["/work", "/d"]}))
    return place / "order"


TARGET: Final = _ImageLayers()
