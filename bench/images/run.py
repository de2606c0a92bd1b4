"""``just bench images``: pull and unpack of a large image, beside skopeo and umoci; its first run, and its second.

    python bench/images/run.py [--megabytes N] [--rounds N] [--no-machine] [--image FOLDER] [--json FILE]

The image has three layers of ``--megabytes`` (2000) in all, gzip, half of whose bytes cannot be compressed: a third as
files of 4 KiB, the rest as files of 4 MiB. A docker-registry on loopback has it, on the same disk as all else. The peer
is ``skopeo copy`` to an OCI layout and ``umoci raw unpack``, as root; ours is ``image pull``, at whose end is the
squashfs file that machines have for a disk. They take turns. Needs Debian's skopeo and umoci. To make the image takes
minutes: ``--image FOLDER`` keeps it there, and uses the one that is there; with ``--rounds 0`` it is made, and nothing
measured.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))  # this is run as a script, and imports what lies beside it

from tests.core.guest.containers.making import MANIFEST
from tests.core.guest.containers.registry import registry

from sandtop.core import paths
from sandtop.core.guest import GuestStore, Pull, Reference

_LAYERS: Final = 3
_SMALL: Final = 4 << 10
_LARGE: Final = 4 << 20
_BUSYBOX: Final = Path("/bin/busybox")


def _content(dice: random.Random, size: int) -> bytes:
    return dice.randbytes(size // 2) + bytes(size - size // 2)


def _layer(number: int, size: int, layout: Path) -> tuple[dict[str, Any], str]:
    """Write a layer of this many bytes; its descriptor, and the digest of its tar."""
    dice, plain, left = random.Random(number), hashlib.sha256(), size
    fresh = layout / "fresh"
    with gzip.open(fresh, "wb", compresslevel=1) as packed:

        class Both(io.RawIOBase):
            def writable(self) -> bool:
                return True

            def write(self, data: bytes) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
                plain.update(data)
                return packed.write(data)

        with tarfile.open(fileobj=Both(), mode="w|") as tar:
            if number == 0:
                tar.add(_BUSYBOX, "bin/busybox")
                _add_link(tar, "bin/true")
            count = 0
            while left > 0:
                length = min(left, _SMALL if left * 3 > size * 2 else _LARGE)
                info = tarfile.TarInfo(f"layer{number}/{count // 1000}/file{count}")
                info.size = length
                tar.addfile(info, io.BytesIO(_content(dice, length)))
                left, count = left - length, count + 1
    with fresh.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    blob = {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:{digest}",
        "size": fresh.stat().st_size,
    }  # fmt: skip
    fresh.rename(layout / "blobs" / "sha256" / digest)
    return blob, f"sha256:{plain.hexdigest()}"


def _add_link(tar: tarfile.TarFile, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "busybox"
    tar.addfile(info)


def _image(layout: Path, megabytes: int) -> None:
    """An OCI layout with the image ``large``."""
    (layout / "blobs" / "sha256").mkdir(parents=True)
    made = [_layer(number, (megabytes << 20) // _LAYERS, layout) for number in range(_LAYERS)]

    def blob(document: object, kind: str) -> dict[str, Any]:
        data = json.dumps(document).encode()
        digest = hashlib.sha256(data).hexdigest()
        (layout / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    config = {
        "os": "linux", "architecture": "amd64", "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in made]},
    }  # fmt: skip
    manifest = {
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer for layer, _ in made],
        "config": blob(config, "application/vnd.oci.image.config.v1+json"),
    }  # fmt: skip
    named = {**blob(manifest, MANIFEST), "annotations": {"org.opencontainers.image.ref.name": "large"}}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _peers(name: str, folder: Path) -> dict[str, float]:
    """Seconds of skopeo, and of umoci."""
    began = time.monotonic()
    subprocess.run(
        [
            "skopeo",
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            f"docker://{name}",
            f"oci:{folder / 'layout'}:large",
        ],
        check=True,
    )
    copied = time.monotonic()
    umoci: list[str | Path] = [
        "umoci",
        "raw",
        "unpack",
        "--image",
        f"{folder / 'layout'}:large",
        folder / "root",
    ]
    subprocess.run(umoci, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = time.monotonic()
    return {"skopeo": copied - began, "umoci": done - copied, "skopeo + umoci": done - began}


def _ours(name: str, folder: Path) -> dict[str, float]:
    """Seconds of the same by us, and until the layers were here."""
    place = paths.Paths(folder / "data", folder / "cache", folder / "config", folder / "run")
    began, fetched = time.monotonic(), 0.0

    def hear(line: str) -> None:
        nonlocal fetched
        if "building from" in line:
            fetched = time.monotonic()

    GuestStore(place).pull_image(Pull(Reference.parse(name), insecure=True), hear)
    done = time.monotonic()
    return {"our fetching": fetched - began, "our unpacking": done - fetched, "image pull": done - began}


def _runs(name: str) -> dict[str, float]:
    """Seconds of ``sandtop run`` of the image's own command, which is ``true``: the first, and the second."""
    sandtop = [sys.executable, "-m", "sandtop"]
    subprocess.run([*sandtop, "image", "pull", "--insecure-registry", name], check=True, capture_output=True)
    found = dict[str, float]()
    try:
        for which in ("first run", "second run"):
            began = time.monotonic()
            subprocess.run([*sandtop, "run", name], check=True, stderr=subprocess.DEVNULL)
            found[which] = time.monotonic() - began
    finally:
        subprocess.run([*sandtop, "image", "rm", name], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*sandtop, "core", "stop", "--all"], check=True, stdout=subprocess.DEVNULL)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-machine", action="store_true", help="without the runs")
    parser.add_argument(
        "--image", type=Path, metavar="FOLDER", help="of the image, made where it is not there"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    series = dict[str, list[float]]()
    with tempfile.TemporaryDirectory(prefix="images-") as text:
        folder = Path(text)
        image: Path = options.image or folder / "made"
        if not (image / "oci-layout").exists():  # written last
            print(f"making an image of {options.megabytes} MB …", file=sys.stderr)
            shutil.rmtree(image, ignore_errors=True)
            _image(image, options.megabytes)
        if not options.rounds:
            return
        size = sum(path.stat().st_size for path in (image / "blobs" / "sha256").iterdir())
        with registry(folder / "registry") as real:
            name = real.push(image, "large", "large:1")
            for number in range(options.rounds):
                for kind in (_peers, _ours) if number % 2 == 0 else (_ours, _peers):
                    place = folder / "round"
                    place.mkdir()
                    for what, seconds in kind(name, place).items():
                        series.setdefault(what, []).append(seconds)
                    subprocess.run(["rm", "-rf", place], check=True)
            if not options.no_machine:
                home = folder / "home"
                home.mkdir()
                cache = paths.find().cache
                (home / "cache").symlink_to(cache)
                os.environ["SANDTOP_HOME"] = str(home)
                for what, seconds in _runs(name).items():
                    series.setdefault(what, []).append(seconds)
    print(f"{size / 1e6:.0f} MB of layers, {options.rounds} rounds, seconds (median, and all)")
    for what, values in series.items():
        print(f"{what:16} {statistics.median(values):7.1f}   {' '.join(f'{value:.1f}' for value in values)}")
    ratio = statistics.median(series["image pull"]) / statistics.median(series["skopeo + umoci"])
    print(f"image pull / (skopeo + umoci): {ratio:.2f} (goal: at most 1.3)")
    if options.json:
        options.json.write_text(json.dumps(series, indent=1))


if __name__ == "__main__":
    main()
