"""``python -m sandtop.core.fuse ROOT NODES ro|rw``: serves the folder that is open as descriptor ROOT, over stdin."""

from __future__ import annotations

import socket
import sys
from typing import Final

from sandtop.core.fuse.confine import confine
from sandtop.core.fuse.folder import Folder
from sandtop.core.fuse.operations import Operations
from sandtop.core.fuse.protocol import MAGIC, PREAMBLE, NotFuse
from sandtop.core.fuse.server import Server

_SPARE: Final = 64
"""Descriptors beside those of the guest's files."""
_MOST_OPEN: Final = 65_536


def main(arguments: list[str]) -> int:
    """Serve until the machine has ended. The exit status: 1 when the guest said what is not the protocol."""
    root, nodes, mode = int(arguments[0]), int(arguments[1]), arguments[2]
    link = socket.socket(fileno=0)
    folder = Folder(root, nodes)
    most = confine(nodes, _MOST_OPEN + _SPARE) - _SPARE
    try:
        begun = link.recv(PREAMBLE.size, socket.MSG_WAITALL)
        if not begun:
            return 0
        if len(begun) < PREAMBLE.size or not begun.startswith(MAGIC):
            raise NotFuse("no preamble")
        _, uid, gid = PREAMBLE.unpack(begun)
        Server(link, Operations(folder, uid, gid, read_only=mode == "ro", most=most)).run()
    except NotFuse as error:
        sys.stderr.write(f"the server of a mounted folder ends: the guest sent {error}\n")
        return 1
    except (BrokenPipeError, ConnectionResetError):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
