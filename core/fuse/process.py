"""Starting the server of a mount, from the core."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import InvalidRequest, NotFound, from_os_error

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_NODE_PER_BYTES: Final = 1024
"""A file that the guest's kernel knows of takes more of its own memory than this: an honest one has no more of them."""
_MOST_NODES: Final = 2_000_000


def open_folder(path: str, sandbox: str) -> int:
    """A descriptor (O_PATH) of the folder ``path`` of this host, to be mounted in ``sandbox``.

    Raises `NotFound` or `InvalidRequest` for what is not there, is none, or cannot be read; `StorageError`.
    """
    try:
        descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"there is no folder {path} on this host to mount", sandbox=sandbox) from None
    except NotADirectoryError:
        raise InvalidRequest(f"{path} is no folder, and only folders are mounted", sandbox=sandbox) from None
    except PermissionError as error:
        raise InvalidRequest(f"{path} cannot be mounted: {error.strerror}", sandbox=sandbox) from None
    except OSError as error:
        raise from_os_error(error, f"{path} cannot be mounted", sandbox=sandbox) from error
    if not os.access(path, os.R_OK | os.X_OK, effective_ids=True):
        os.close(descriptor)
        raise InvalidRequest(f"{path} cannot be mounted: the core's user cannot read it", sandbox=sandbox)
    return descriptor


class FolderServer:
    """A server that runs. It ends when the other end of its link is closed, and outlives the core.

    A context manager that closes ``link``, the end for the machine: give that away before.
    """

    def __init__(self, process: trio.Process, link: socket.socket) -> None:
        self.process = process
        self.link = link

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.link.close()


async def start(path: str, sandbox: str, memory_mib: int, *, read_only: bool) -> FolderServer:
    """Serve the folder ``path`` to a guest with ``memory_mib`` of memory. Raises as `open_folder`."""
    folder = open_folder(path, sandbox)
    ours, theirs = socket.socketpair()
    nodes = min(_MOST_NODES, (memory_mib << 20) // _NODE_PER_BYTES)
    arguments = [str(folder), str(nodes), "ro" if read_only else "rw"]
    try:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "sandtop.core.fuse", *arguments],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            pass_fds=(folder,),
            start_new_session=True,
            cwd="/",
        )
    except BaseException as error:
        ours.close()
        if isinstance(error, OSError):
            raise from_os_error(error, f"{path} cannot be served", sandbox=sandbox) from error
        raise
    finally:
        theirs.close()
        os.close(folder)
    return FolderServer(process, ours)
