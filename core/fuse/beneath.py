"""Opening what is in one folder, and nothing else: openat2(2) with RESOLVE_BENEATH, by way of no symbolic link.

Whatever the guest makes of names and links meanwhile, and whoever renames what on the host: the kernel resolves a path
in one go from the folder's descriptor, and fails where it would lead out of it. Python has no call for that.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

_SYS_OPENAT2: Final = 437  # the same on all of Linux's architectures
_NO_MAGICLINKS: Final = 0x02
_NO_SYMLINKS: Final = 0x04
_BENEATH: Final = 0x08
NOREPLACE: Final = 1 << 0
EXCHANGE: Final = 1 << 1
"""Flags of renameat2(2)."""
_TRIES: Final = 32
"""openat2 fails with EAGAIN while names are being changed somewhere, and is to be tried again."""

_libc: Final = ctypes.CDLL(None, use_errno=True)
_syscall: Final = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t]
_renameat2: Final = _libc.renameat2
_renameat2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
_getdents64: Final = _libc.getdents64
_getdents64.restype = ctypes.c_ssize_t
_getdents64.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
_fallocate: Final = _libc.fallocate
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_SIZE: Final = ctypes.sizeof(_OpenHow)


def _how(flags: int) -> _OpenHow:
    return _OpenHow(flags | os.O_CLOEXEC, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)


_PIN: Final = _how(os.O_PATH | os.O_NOFOLLOW)
_LIST: Final = _how(os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
_PIN_AT: Final = ctypes.addressof(_PIN)
_LIST_AT: Final = ctypes.addressof(_LIST)


def pin(folder: int, path: bytes) -> int:
    """A descriptor (O_PATH) of what is at ``path`` in ``folder``, which opens nothing. Raises OSError."""
    return _open(folder, path, _PIN_AT)


def open_directory(folder: int, path: bytes) -> int:
    """A descriptor of the directory at ``path`` in ``folder``, to list it. Raises OSError."""
    return _open(folder, path, _LIST_AT)


def _open(folder: int, path: bytes, how: int) -> int:
    number = errno.EAGAIN
    for _ in range(_TRIES):
        descriptor = int(_syscall(_SYS_OPENAT2, folder, path, how, _SIZE))
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number != errno.EAGAIN:
            break
    # a link in the middle of the path, or a path out of the folder: what was there is there no more
    raise OSError(errno.ESTALE if number in (errno.ELOOP, errno.EXDEV) else number, os.strerror(number))


def rename(old_folder: int, old: bytes, new_folder: int, new: bytes, flags: int) -> None:
    """renameat2(2). Raises OSError."""
    if _renameat2(old_folder, old, new_folder, new, flags) < 0:
        _fail()


def allocate(descriptor: int, offset: int, length: int) -> None:
    """fallocate(2), which fails where the file system has none: the C library's own would write all the zeros.

    Raises OSError.
    """
    if _fallocate(descriptor, 0, offset, length) < 0:
        _fail()


def entries(folder: int, buffer: ctypes.Array[ctypes.c_char]) -> int:
    """Fill ``buffer`` with the next entries of ``folder``, as getdents64(2) has them; their bytes, 0 at the end.

    Raises OSError.
    """
    count = int(_getdents64(folder, buffer, len(buffer)))
    if count < 0:
        _fail()
    return count


def _fail() -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))
