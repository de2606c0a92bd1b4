"""Images of tars of any kind: what mksquashfs is given has each name once, and none that leads anywhere."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from tests.core.tar.hostile import ARCHIVES
from tests.core.tar.making import END, file, folder, hard_link, link, pax, sparse
from tests.fuzz.target import Budget
from tests.fuzz.tars import archive, summed

from sandtop.core.errors import ImageError, InvalidRequest
from sandtop.core.guest.sources.roottar import convert

if TYPE_CHECKING:
    import random


class _ImageTar:
    budget: Final = Budget(cpu=0.5, cpu_per_kib=0.05, memory=64 << 20, hang=20.0)
    seeds: Final = (
        folder(b"./") + file(b"./v", b"1") + link(b"l", b"d") + file(b"l/f") + file(b"v", b"2") + END,
        file(b"v") + hard_link(b"h", b"v") + link(b"l", b"v") + hard_link(b"m", b"l") + END,
        pax((b"SCHILY.xattr.user.a", b"\0"))
        + file(b"x")
        + sparse(b"s", 1 << 20, b"1\n4096\n4\n", b"data")
        + END,
        file(b"manifest.json", b'[{"Layers": []}]') + END,
        *(data for data in ARCHIVES.values() if len(data) < 8192),
    )
    mutate: Final = True

    def generate(self, rng: random.Random) -> bytes:
        return archive(rng)

    def run(self, data: bytes) -> None:
        out = io.BytesIO()
        message = ""
        with tempfile.NamedTemporaryFile(prefix="imagetar-") as source:
            source.write(summed(data))
            source.flush()
            descriptors = len(os.listdir("/proc/self/fd"))
            try:
                convert(source.name, out)
            except (ImageError, InvalidRequest) as error:
                message = str(error)
            assert len(os.listdir("/proc/self/fd")) == descriptors, "descriptors are left open"
        assert len(message) < 1000, "a message without end"
        assert message.isprintable(), "a message that a terminal might obey"
        if not message:
            check(out.getvalue())


def check(made: bytes) -> None:
    """That a tar for mksquashfs is as it should be."""
    kinds: dict[str, tarfile.TarInfo] = {}
    with tarfile.open(fileobj=io.BytesIO(made), encoding="utf-8", errors="surrogateescape") as archive:
        for info in archive:
            assert info.name not in kinds, "a name twice"
            parts = info.name.split("/")
            assert ".." not in parts
            assert "." not in parts
            assert "" not in parts
            above = str(PurePosixPath(info.name).parent)
            assert above == "." or kinds[above].isdir(), "not below a folder that was there before"
            if info.islnk():
                assert kinds[info.linkname].isreg(), "a hard link to something else"
            kinds[info.name] = info
            if info.isreg() and info.size < 1 << 22:
                content = archive.extractfile(info)
                assert content is not None
                assert len(content.read()) == info.size
    assert kinds
    assert made.endswith(END)


TARGET: Final = _ImageTar()
