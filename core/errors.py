"""Every error that sandtop raises, in one tree.

    SandtopError
    ├── InvalidRequest          a value that the caller gave makes no sense
    ├── NotFound                no such sandbox, session or image
    ├── AlreadyExists           the name is taken
    ├── WrongState              the sandbox is not in a state that allows this
    ├── MissingDependency       a program or kernel feature of the host is not there
    ├── ImageError              an image, kernel or runtime could not be built or is damaged
    ├── StorageError            a disk is full or a folder cannot be used
    ├── MachineError            the virtual machine could not start, or died
    ├── TimedOut                what was waited for did not come in time (exit status 124)
    ├── ConnectionRefused       nothing listens on the port in the sandbox
    ├── ChannelError            the link to the guest agent broke or did not answer in time
    ├── CoreUnavailable         the core could not be reached or started
    ├── CoreFailure             the core met a fault of its own
    ├── CoreOutdated            the core is older than its client, and did nothing
    ├── SpawnError              the sandbox could not start the program (exit status 126 or 127)
    └── FileError               a file of a sandbox could not be used (exit status 1); also an OSError
        ├── FileNotFound        also a FileNotFoundError; so the others:
        ├── FileExists          FileExistsError
        ├── IsADirectory        IsADirectoryError
        ├── NotADirectory       NotADirectoryError
        └── PermissionDenied    PermissionError

Each carries the sandbox it is about and a hint: what to do next. The CLI prints ``message`` and ``hint`` on one
line and exits with ``exit_status``; the wire carries ``code``, which is part of the stable surface.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False  # typing takes 6 ms to import, and every command imports this module
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar, Final

EXIT_TIMEOUT: Final = 124
EXIT_SANDTOP_FAILED: Final = 125
EXIT_NOT_EXECUTABLE: Final = 126
EXIT_NOT_FOUND: Final = 127


class SandtopError(Exception):
    """Root of the tree. ``str()`` is one line: the message and, when there is one, the hint."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, sandbox: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.sandbox = sandbox
        self.hint = hint

    @property
    def exit_status(self) -> int:
        """What the CLI exits with when this error ends a command."""
        return EXIT_SANDTOP_FAILED

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def to_wire(self) -> dict[str, object]:
        """The JSON form that crosses the core's socket; `from_wire` is its inverse."""
        return {"code": self.code, "message": self.message, "sandbox": self.sandbox, "hint": self.hint}


class InvalidRequest(SandtopError):
    code = "invalid-request"


class NotFound(SandtopError):
    code = "not-found"


class AlreadyExists(SandtopError):
    code = "already-exists"


class WrongState(SandtopError):
    code = "wrong-state"


class MissingDependency(SandtopError):
    code = "missing-dependency"


class ImageError(SandtopError):
    code = "image"


class StorageError(SandtopError):
    code = "storage"


class MachineError(SandtopError):
    code = "machine"


class TimedOut(SandtopError):
    code = "timeout"

    @property
    def exit_status(self) -> int:
        return EXIT_TIMEOUT


class ConnectionRefused(SandtopError):
    code = "refused"


class ChannelError(SandtopError):
    code = "channel"


class CoreUnavailable(SandtopError):
    code = "core-unavailable"


class CoreOutdated(CoreUnavailable):
    code = "core-outdated"


class CoreFailure(SandtopError):
    code = "core-failure"


_SPAWN_HINTS: Final = {
    "user": ": 'sandtop exec {0} -- cat /etc/passwd' lists the users",
    "cwd": ": 'sandtop exec {0} -- mkdir -p DIR' makes it",
}
"""What to do about a program that never ran, by the stage that failed."""


class SpawnError(SandtopError):
    """The program never ran. ``stage`` is what failed (``cwd``, ``exec``, ``user`` …), ``errno`` why."""

    code = "spawn"

    def __init__(
        self,
        message: str,
        *,
        stage: str = "exec",
        errno: int = 0,
        sandbox: str | None = None,
        hint: str | None = None,
    ) -> None:
        if hint is None and sandbox is not None:
            hint = f"in {sandbox}{_SPAWN_HINTS.get(stage, '').format(sandbox)}"
        super().__init__(message, sandbox=sandbox, hint=hint)
        self.stage = stage
        self.errno = errno

    @property
    def exit_status(self) -> int:
        """127 and 126 are about the program alone, as in a shell; any other stage is sandtop's 125."""
        if self.stage != "exec":
            return EXIT_SANDTOP_FAILED
        return EXIT_NOT_FOUND if self.errno in (errno.ENOENT, errno.ENOTDIR) else EXIT_NOT_EXECUTABLE

    def to_wire(self) -> dict[str, object]:
        return {**super().to_wire(), "stage": self.stage, "errno": self.errno}


class FileError(SandtopError, OSError):
    """A file of a sandbox could not be used. ``errno`` is the number of its kernel, ``filename`` the path there.

    Those that Python has a class for are of that class, too.
    """

    code = "file"

    def __init__(
        self,
        message: str,
        *,
        errno: int = 0,
        filename: str | None = None,
        sandbox: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, sandbox=sandbox, hint=hint)
        self.errno = errno
        self.filename = filename

    @property
    def exit_status(self) -> int:
        """1, as of cat, ls and rm."""
        return 1

    def to_wire(self) -> dict[str, object]:
        return {**super().to_wire(), "errno": self.errno, "path": self.filename}


class FileNotFound(FileError, FileNotFoundError):
    """There is no such file or folder in the sandbox."""


class FileExists(FileError, FileExistsError):
    """There is a file or folder of that name in the sandbox already."""


class IsADirectory(FileError, IsADirectoryError):
    """The path is that of a folder."""


class NotADirectory(FileError, NotADirectoryError):
    """The path, or what is above it, is no folder."""


class PermissionDenied(FileError, PermissionError):
    """The user may not do that in the sandbox."""


_BY_ERRNO: Final[dict[int, type[FileError]]] = {
    errno.ENOENT: FileNotFound,
    errno.EEXIST: FileExists,
    errno.EISDIR: IsADirectory,
    errno.ENOTDIR: NotADirectory,
    errno.EACCES: PermissionDenied,
    errno.EPERM: PermissionDenied,
}


def file_error(
    number: int, message: str, filename: str | None, *, sandbox: str | None = None, hint: str | None = None
) -> FileError:
    """The error of the kind that the kernel's ``number`` has."""
    kind = _BY_ERRNO.get(number, FileError)
    return kind(message, errno=number, filename=filename, sandbox=sandbox, hint=hint)


_BY_CODE: Final[dict[str, type[SandtopError]]] = {
    kind.code: kind
    for kind in (
        InvalidRequest, NotFound, AlreadyExists, WrongState, MissingDependency, ImageError, StorageError,
        MachineError, TimedOut, ConnectionRefused, ChannelError, CoreUnavailable, CoreFailure, CoreOutdated,
    )
}  # fmt: skip


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def from_wire(data: Mapping[str, object]) -> SandtopError:
    """The error that ``data`` describes. A code that this version does not know becomes a `SandtopError`."""
    message = _text(data.get("message")) or "the core reported an error without a message"
    sandbox, hint = _text(data.get("sandbox")), _text(data.get("hint"))
    if data.get("code") == SpawnError.code:
        number = data.get("errno")
        return SpawnError(
            message,
            stage=_text(data.get("stage")) or "exec",
            errno=number if isinstance(number, int) else 0,
            sandbox=sandbox,
            hint=hint,
        )
    if data.get("code") == FileError.code:
        number = data.get("errno")
        path = _text(data.get("path"))
        return file_error(number if isinstance(number, int) else 0, message, path, sandbox=sandbox, hint=hint)
    kind = _BY_CODE.get(_text(data.get("code")) or "", SandtopError)
    return kind(message, sandbox=sandbox, hint=hint)


def from_os_error(error: OSError, doing: str, *, sandbox: str | None = None) -> SandtopError:
    """``error``, met while ``doing`` something on the host, as one of ours with a hint that fits."""
    where = f" ({error.filename})" if error.filename else ""
    message = f"{doing}: {error.strerror or error}{where}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            message, sandbox=sandbox, hint="free some space, or move SANDTOP_HOME to a larger disk"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(message, sandbox=sandbox, hint="check who owns that path, or set SANDTOP_HOME")
    return StorageError(message, sandbox=sandbox)
