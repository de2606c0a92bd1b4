"""Where sandtop keeps things: the XDG directories, or all of it below ``SANDTOP_HOME``.

Sockets live in a short runtime directory, never below a deep home: the kernel refuses socket paths of 108
bytes and more (unix(7)).
"""

from __future__ import annotations

import os
import pwd
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandtop.core.errors import StorageError, from_os_error
from sandtop.core.location import APP, CORE_SOCKET, home, runtime_directory

SPOOLED: Final = "stdin-"
"""How the names of files in `Paths.layers` begin that have what came on a command's stdin. They are gone with it."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The directories of one sandtop installation. Nothing is created until `ensure` is called.

    Attributes:
        data: sandboxes, session logs and the database; what a user would back up.
        cache: kernels, runtimes, images and templates; all of it can be built again.
        config: the user's settings.
        runtime: sockets and locks; 0700, short, gone when no core and no machine is left.
    """

    data: Path
    cache: Path
    config: Path
    runtime: Path

    @property
    def database(self) -> Path:
        return self.data / "sandtop.db"

    @property
    def events(self) -> Path:
        """What happened, a line an event; the older half of it in ``events.1`` beside it."""
        return self.data / "events"

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
    def volumes(self) -> Path:
        """Disks that outlive sandboxes, by name."""
        return self.data / "volumes"

    @property
    def layers(self) -> Path:
        """Those of container images, by digest."""
        return self.cache / "layers"

    @property
    def core_socket(self) -> Path:
        return self.runtime / CORE_SOCKET

    @property
    def core_lock(self) -> Path:
        return self.runtime / "core.lock"

    @property
    def supervisor_lock(self) -> Path:
        return self.runtime / "supervisor.lock"

    @property
    def core_log(self) -> Path:
        return self.data / "core.log"

    def machine_runtime(self, uuid: str) -> Path:
        """The folder for one machine's sockets. The name is short on purpose."""
        return self.runtime / uuid.replace("-", "")[:12]

    def ensure(self) -> None:
        """Create every directory, or see to it that nobody but this user writes in it, or reads what is in ``data``.

        Raises `StorageError` naming the one that cannot be used, such as somebody else's.
        """
        if (root := home()) is not None:
            _own(Path(root), "the home", readable=True, shared=True)
        _own(self.data, "the data folder")
        _own(self.cache, "the cache folder", readable=True)
        _own(self.config, "the config folder", readable=True)
        _own(self.sandboxes, "the folder of sandboxes")
        _own(self.volumes, "the folder of volumes")
        _own(self.logs, "the folder of logs")
        _own(self.images, "the folder of images", readable=True)
        ensure_private(self.runtime)


def _own(path: Path, what: str, *, readable: bool = False, shared: bool = False) -> None:
    """Make ``path``, and what is missing on the way there, directories of this user's alone, whatever the umask.

    One that is there must be this user's; it loses the permissions that others have to write, and to read unless it
    is ``readable``. A ``shared`` one may be root's, or one in which the sticky bit keeps people apart, as in /tmp.
    """
    try:
        with suppress(FileExistsError):  # a file, see below
            make_private(path)
        found = path.stat()  # of what a link leads to: a cache may be on another disk
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISDIR(found.st_mode):
            raise StorageError(f"{what} {path} is not a folder", hint=f"remove it, or {_ELSEWHERE}")
        if shared and (mode & stat.S_ISVTX or (found.st_uid == 0 and not mode & 0o022)):
            return
        if found.st_uid != os.geteuid():
            raise StorageError(
                f"{what} {path} belongs to {_user(found.st_uid)}, not to {_user(os.geteuid())}",
                hint=f"if it is yours: sudo chown -R {_user(os.geteuid())} {path}; else {_ELSEWHERE}",
            )
        if excess := mode & (0o022 if readable else 0o077):
            path.chmod(mode & ~excess)
    except OSError as error:
        raise from_os_error(error, f"{what} {path} cannot be made or kept private") from error


_ELSEWHERE: Final = "set SANDTOP_HOME to a folder of your own"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def make_private(path: Path) -> None:
    """Make the folder ``path`` and what is missing on the way there, for this user alone. Raises OSError."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        make_private(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def private(path: str, flags: int) -> int:
    """For `open`'s ``opener``: a file that is made is this user's alone, whatever the umask."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def ensure_private(path: Path) -> None:
    """Create ``path`` as 0700 of this user, or check that it is just that.

    A runtime directory in a shared place such as /tmp may have been made by somebody else, who would then own the
    sockets in it. Raises `StorageError`.
    """
    try:
        make_private(path)
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
