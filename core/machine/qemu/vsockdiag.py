"""What listens on this host's AF_VSOCK. A guest with a vsock device can connect to all of it.

The kernel is asked by netlink (sock_diag(7), linux/vm_sockets_diag.h), as ``ss --vsock --listening`` does. It tells of
one network namespace, this process's: in a container that has one of its own, not of what listens outside.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_NETLINK_SOCK_DIAG: Final = 4  # linux/netlink.h
_SOCK_DIAG_BY_FAMILY: Final = 20  # linux/sock_diag.h
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_REQUEST_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_LISTENING: Final = 10  # TCP_LISTEN, which AF_VSOCK uses, too
_HEADER: Final = struct.Struct("=IHHII")
_WANTED: Final = struct.Struct("=BBHIII2I")  # struct vsock_diag_req
_TOLD: Final = struct.Struct("=BBBBIIIII2I")  # struct vsock_diag_msg
_DEADLINE: Final = 1.0
_MOST: Final = 64 * 1024
_SHOWN: Final = 5
_REACHABLE: Final = (socket.VMADDR_CID_ANY, socket.VMADDR_CID_HOST)
"""The addresses at which a guest finds the host. What listens on another, such as VMADDR_CID_LOCAL, is out of reach."""


def exposed() -> str | None:
    """What of this host a guest with vsock would reach, or why that is not known; None for nothing. Blocks."""
    try:
        found = ports()
    except OSError as error:
        return f"what guests would reach on its AF_VSOCK is not known: {error.strerror or error}"
    if not found:
        return None
    shown = ", ".join(str(port) for port in found[:_SHOWN]) + (" ..." if len(found) > _SHOWN else "")
    return f"guests would reach what listens on its AF_VSOCK, port {shown}"


def ports() -> list[int]:
    """The ports of the host that its guests can connect to, sorted. Blocks. Raises OSError where that is not told."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(_DEADLINE)
        return _asked(kernel)


def _asked(kernel: socket.socket) -> list[int]:
    wanted = _WANTED.pack(socket.AF_VSOCK, 0, 0, 1 << _LISTENING, 0, 0, 0, 0)
    length = _HEADER.size + len(wanted)
    kernel.send(_HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + wanted)
    found: set[int] = set()
    for told in _answers(kernel):
        _family, _type, state, _shutdown, cid, port, *_ = _TOLD.unpack_from(told)
        if state == _LISTENING and cid in _REACHABLE:
            found.add(port)
    return sorted(found)


def _answers(kernel: socket.socket) -> Iterator[bytes]:
    while data := kernel.recv(_MOST):
        while data:
            length, kind, *_ = _HEADER.unpack_from(data)
            body, data = data[_HEADER.size : length], data[(length + 3) & ~3 :]
            if kind == _DONE:
                return
            if kind == _ERROR:
                number = -struct.unpack_from("=i", body)[0]
                if number == errno.ENOENT:
                    raise OSError(number, "this kernel has no vsock_diag")
                raise OSError(number, os.strerror(number))
            yield body
