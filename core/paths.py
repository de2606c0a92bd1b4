"""Where sandtop keeps things: the XDG directories, or all of it below ``SANDTOP_HOME``.

Sockets live in a short runtime directory, never below a deep home: QEMU and the kernel refuse socket paths of 108
bytes and more (unix(7)).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandtop.core.errors import StorageError, from_os_error
from sandtop.core.location import APP, CORE_SOCKET, home, runtime_directory

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """The directories of one sandtop installation. Nothing is created until `ensure` is called.

    Attributes:
        data: sandboxes, session logs and the database; what a user would back up.
        cache: kernels, runtimes, images and templates; all of it can be built again.
        config: the user's settings.
        runtime: sockets, locks and pid files; 0700, short, gone after a reboot.
    """

    data: Path
    cache: Path
    config: Path
    runtime: Path

    @property
    def database(self) -> Path:
        return self.data / "sandtop.db"

    @property
    def sandboxes(self) -> Path:
        """One folder a sandbox, named by its uuid: overlay disk, console log."""
        return self.data / "sandboxes"

    @property
    def logs(self) -> Path:
        """One folder a sandbox, named by its uuid, with a folder a session: it may outlive the sandbox."""
        return self.data / "logs"

    @property
    def settings(self) -> Path:
        return self.config / "config.toml"

    @property
    def images(self) -> Path:
        return self.cache / "images"

    @property
    def core_socket(self) -> Path:
        return self.runtime / CORE_SOCKET

    @property
    def core_lock(self) -> Path:
        return self.runtime / "core.lock"

    @property
    def core_log(self) -> Path:
        return self.data / "core.log"

    def machine_runtime(self, uuid: str) -> Path:
        """The folder for one machine's sockets (QMP, channel). The name is short on purpose."""
        return self.runtime / uuid.replace("-", "")[:12]

    def ensure(self) -> None:
        """Create every directory, private to this user. Raises `StorageError` naming the one that cannot be used."""
        for path in (self.data, self.cache, self.config, self.sandboxes, self.logs, self.images):
            try:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise from_os_error(error, f"cannot create {path}") from error
        ensure_private(self.runtime)


def ensure_private(path: Path) -> None:
    """Create ``path`` as 0700 of this user, or check that it is just that.

    A runtime directory in a shared place such as /tmp may have been made by somebody else, who would then own the
    sockets in it. Raises `StorageError`.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise from_os_error(error, f"cannot create the runtime directory {path}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StorageError(
            f"the runtime directory {path} belongs to someone else",
            hint="remove it, or set XDG_RUNTIME_DIR to a directory of your own",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)


def find() -> Paths:
    """The paths that the environment asks for. Raises `InvalidRequest` for a relative SANDTOP_HOME."""
    from pathlib import Path

    root_text, runtime = home(), Path(runtime_directory())
    if root_text is not None:
        root = Path(root_text)
        return Paths(data=root / "data", cache=root / "cache", config=root / "config", runtime=runtime)
    import platformdirs

    return Paths(
        data=Path(platformdirs.user_data_dir(APP)),
        cache=Path(platformdirs.user_cache_dir(APP)),
        config=Path(platformdirs.user_config_dir(APP)),
        runtime=runtime,
    )
