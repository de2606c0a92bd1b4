"""The agent's own programs, run in a forked child in place of a program of the image: ``tar-create``, ``tar-extract``,
``files``, the file server, ``mounts``, which mounts what the core says, and ``layers``, which reads layers of images.

The child needs modules that the agent does not import, and the sandbox may not have them. So it leaves the sandbox's
root, imports them from the guest runtime, and enters the sandbox again; but for ``layers``, which reads what is beside
it, and is root's alone.
"""

from __future__ import annotations

import os
import resource

from .spawn import SpawnFailed, connect, run_forked, take_on
from .wire import values
from .wire.values import InvalidMessage

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from .cgroups import Cgroup
    from .spawn import Plan

    _Program = Callable[[], int]
    """Does the work; returns the exit status."""
    _Loader = Callable[[], _Program]
    """Imports a program from the guest runtime."""

_RUNTIME: Final = 3
_FOLDER: Final = 4
_MOST_DESCRIPTORS: Final = 1 << 20
_EXTRACT_BYTES: Final = 512 << 20
LAYERS: Final = "layers"
"""The one that stays in the guest runtime."""


def spawn(plan: Plan, fields: Mapping[str, object], cgroup: Cgroup, runtime: int, root: str) -> int:
    """Run the builtin that ``fields`` describe, otherwise as ``plan`` says; its pid. Raises SpawnFailed."""
    try:
        load = _loader(fields, root)
    except InvalidMessage as error:
        raise SpawnFailed("exec", 22, f"builtin: {error}") from None
    if fields["name"] == LAYERS and plan.user.uid != 0:
        raise SpawnFailed("user", 1, "layers are read by root alone")

    def child(started: Callable[[], None]) -> None:
        connect(plan)
        try:
            folder = os.open(plan.cwd, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise SpawnFailed(
                "cwd", error.errno or 0, f"working directory {plan.cwd}: {error.strerror}"
            ) from None
        started()
        _keep_only(folder, runtime)
        try:
            status = _run(plan, None if fields["name"] == LAYERS else root, load)
        except Exception as error:  # the boundary: this process ends here, and only its stderr can tell why
            os.write(2, f"{fields.get('name')}: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))
            status = 1
        os._exit(status)

    cgroup.is_ours()
    pid = run_forked(child, cgroup)
    if fields["name"] == LAYERS:
        cgroup.freeze_others()
    return pid


def _keep_only(folder: int, runtime: int) -> None:
    """Close every descriptor but these and 0 to 2: an end of another session's pipe would keep that from ending."""
    # move them by way of numbers above both, so that neither is overwritten before it was moved
    spare = [os.dup2(fd, max(folder, runtime) + 1 + n) for n, fd in enumerate((runtime, folder))]
    for fd, target in zip(spare, (_RUNTIME, _FOLDER), strict=True):
        os.dup2(fd, target)
    os.closerange(_FOLDER + 1, _MOST_DESCRIPTORS)


def _loader(fields: Mapping[str, object], root: str) -> _Loader:
    """What imports the builtin that ``fields`` describe. Raises InvalidMessage."""
    name = fields.get("name")
    if name == "tar-create":
        return _tar_create(values.texts(fields, "paths"))
    if name == "tar-extract":
        names = None if fields.get("names") is None else values.texts(fields, "names")
        owner = None if fields.get("owner") is None else values.text(fields, "owner")
        return _tar_extract(values.text(fields, "path"), values.boolean(fields, "rename"), names, owner)
    if name == "files":
        return _files(watch=values.boolean(fields, "watch"))
    if name == LAYERS:
        return _layers(root)
    if name == "mounts":
        return _mounts
    raise InvalidMessage(f"there is no builtin {name!r}")


def _tar_create(paths: list[str]) -> _Loader:
    def load() -> _Program:
        from . import tar_create

        return lambda: tar_create.create(paths)

    return load


def _tar_extract(path: str, rename: bool, names: list[str] | None, owner: str | None) -> _Loader:
    def load() -> _Program:
        from . import tar_extract

        def run() -> int:
            # bounds the memory that a hostile archive can make this process use
            resource.setrlimit(resource.RLIMIT_AS, (_EXTRACT_BYTES, _EXTRACT_BYTES))
            return tar_extract.extract(path, rename=rename, names=names, owner=owner)

        return run

    return load


def _files(*, watch: bool) -> _Loader:
    def load() -> _Program:
        from .files.server import Server

        if watch:  # in a server of its own: others need not wait for the import of ctypes
            from .files.watch import OPERATIONS as WATCHING

            return Server(WATCHING).run
        from .files.calls import OPERATIONS

        return Server(OPERATIONS).run

    return load


def _layers(root: str) -> _Loader:
    def load() -> _Program:
        from .files.server import Server
        from .layers.calls import Places, operations

        return Server(operations(Places(root.rstrip("/")))).run

    return load


def _mounts() -> _Program:
    from .files.server import Server
    from .mounting import OPERATIONS

    return Server(OPERATIONS).run


def _run(plan: Plan, root: str | None, load: _Loader) -> int:
    """Run what ``load`` imports, in the sandbox's ``root``; None: in the guest runtime."""
    os.fchdir(_RUNTIME)
    os.chroot(".")
    program = load()
    if root is not None:
        os.chroot(root)
        os.fchdir(_FOLDER)
    os.umask(0o022)
    take_on(plan.user)
    return program()
