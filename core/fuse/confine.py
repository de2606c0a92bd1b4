"""What the server gives up before it reads the guest's first byte. Linux's calls for that, which Python lacks."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

from sandtop.core import open_files

_NICENESS: Final = 5
"""The server's, as that of the machine which it works for (nice(2))."""
_OWN_BYTES: Final = 512 << 20
_NODE_BYTES: Final = 512
"""Bytes of address space: the server's own, and for each file that the guest's kernel knows of."""
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITIES_V3: Final = 0x20080522
_KEPT: Final = 1 << 1 | 1 << 3
"""CAP_DAC_OVERRIDE and CAP_FOWNER: what lets root use files that are not its own. Without the others root makes no
devices, gives no files away, and a file that it writes to loses its set-id bits (capabilities(7))."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def confine(nodes: int, wanted: int) -> int:
    """Give up what a server of so many ``nodes`` and ``wanted`` open files does not need. Raises OSError.

    Returns how many files it can have open.
    """
    os.umask(0)  # the guest's kernel has applied its programs'
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    memory = _OWN_BYTES + nodes * _NODE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    files = open_files.limit(wanted)
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if os.geteuid() == 0:
        data = (_Data * 2)(_Data(_KEPT, _KEPT, 0), _Data(0, 0, 0))
        _check(libc.capset(ctypes.byref(_Header(_CAPABILITIES_V3, 0)), data))
    return files


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
