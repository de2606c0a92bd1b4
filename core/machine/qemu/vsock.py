"""vhost-vsock: the host kernel's end of a machine's AF_VSOCK, and the machine's address (CID) on this host.

The core opens the device and hands it to QEMU, which may run as a user who could not. A CID is one for the whole host,
whoever uses it. The core takes one with the ioctl that QEMU uses, too, on that descriptor, before QEMU has it: so it is
known at once whether it is free, and nobody takes it in between. It is free again when the last descriptor is closed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
import struct
from pathlib import Path
from typing import Final

from sandtop.core.errors import MachineError

DEVICE: Final = Path("/dev/vhost-vsock")
CIDS: Final = range(1 << 16, 1 << 31)
"""CIDs for machines: far from the small numbers that people choose by hand, and within what all tools can show."""
NOMINAL_CID: Final = 3
"""Where a CID is needed and none is taken: in the key of a template, which goes on with another one each time."""
_SET_GUEST_CID: Final = 0x4008AF60  # VHOST_VSOCK_SET_GUEST_CID, linux/vhost.h
_TRIES: Final = 64


def take_cid(device: int, name: str = "") -> int:
    """A CID that nobody on this host has, for the machine that gets this open ``device``. Raises `MachineError`."""
    for _ in range(_TRIES):
        cid = CIDS[secrets.randbelow(len(CIDS))]
        try:
            fcntl.ioctl(device, _SET_GUEST_CID, struct.pack("=Q", cid))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise MachineError(f"{DEVICE} gives no CID: {error.strerror}", sandbox=name or None) from error
        return cid
    raise MachineError(f"no CID is free after {_TRIES} tries", sandbox=name or None)


def problem() -> str | None:
    """Why machines on this host can have no vsock that the core can use, as far as a look tells; None if they can."""
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError as error:
        return f"the host's kernel has no AF_VSOCK ({error.strerror})"
    try:
        device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return f"{DEVICE} is not there: modprobe vhost_vsock, where the kernel has it"
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"
    try:
        take_cid(device)
    except MachineError as error:
        return error.message
    finally:
        os.close(device)
    return None
