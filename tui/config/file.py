"""config.toml while the console runs: it is read anew when it has changed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from .model import Config, read

if TYPE_CHECKING:
    from pathlib import Path

_Stamp = tuple[int, int, int]


class ConfigFile:
    """The file at ``path``.

    Attributes:
        config: what it says; after a mistake in it, what it said before.
        changed_at: when it was written, in seconds since the epoch; 0 while it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = Config()
        self._stamp: _Stamp | None = None

    @property
    def changed_at(self) -> float:
        return self._stamp[0] / 1e9 if self._stamp is not None else 0.0

    def look(self) -> bool:
        """Read the file if it has changed since the last look; whether it had.

        Raises `InvalidRequest` once for each mistake: not again until the file has changed again.
        """
        stamp: _Stamp | None = None
        with suppress(OSError):
            stat = self.path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self.config = read(self.path)
        return True
