"""The guest's image on the host: the same files, run by the host's own kernel and processor."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Self

from bench.python import works

from sandtop.core.paths import find

if TYPE_CHECKING:
    from pathlib import Path

_DEADLINE = 300.0


class Host:
    """The image's root file system in a folder of the host, in which commands run by chroot(8)."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def unpack(cls, digest: str, root: Path) -> Self:
        """The files of the image with this ``digest``, in the folder ``root``, which is made."""
        image = find().images / f"{digest}.squashfs"
        command = ["unsquashfs", "-no-progress", "-quiet", "-no-xattrs", "-d", str(root), str(image)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=_DEADLINE)
        works.write(root / works.FOLDER.lstrip("/"))
        return cls(root)

    def time(self, command: tuple[str, ...], runs: int) -> list[float]:
        """The seconds of each run of ``command``."""
        way = ["chroot"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "chroot"]
        timer = ["python3", f"{works.FOLDER}/timer.py", str(runs), *command]
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin", "HOME": "/root", "LANG": "C.UTF-8"}
        done = subprocess.run(
            [*way, self._root, *timer],
            env=environment, check=True, timeout=_DEADLINE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return [float(line) for line in done.stdout.split()]
