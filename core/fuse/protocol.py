"""The FUSE protocol as the kernel speaks it: linux/fuse.h, version 7.31, in the little-endian layout of x86-64.

A message begins with its own length. Requests have a header of 40 bytes, answers one of 16; what follows is a structure
for each operation, and then names that end in a zero, or data.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

MAJOR: Final = 7
MINOR: Final = 31
"""The version that this server speaks. A kernel that knows a later one does as this one wants."""
OLDEST_MINOR: Final = 31
"""Linux 5.4, of 2019: guests have the kernel of this package, so no older one is asked to."""

REQUEST: Final = struct.Struct("<IIQQIIIHH")
"""Length, operation, number, node, then uid, gid and pid of the caller, the length of extensions, padding."""
ANSWER: Final = struct.Struct("<IiQ")
"""Length, 0 or a negative errno(3), the request's number."""

MAX_WRITE: Final = 128 * 1024
"""Bytes of one read or write. A serial port takes 32 KiB of it at a time, and gives 4."""
MAX_REQUEST: Final = REQUEST.size + 40 + MAX_WRITE
"""The longest request: a write. (Names are shorter, and so is what the kernel forgets at once.)"""
ROOT: Final = 1
MAX_NAME: Final = 255
MAX_TARGET: Final = 4095


class NotFuse(Exception):
    """What came is not the protocol. ``str()`` says why."""


class Op(IntEnum):
    """The operations that are served. What else is asked for is answered by ENOSYS, and the kernel does without."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    NOTIFY_REPLY = 41
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46


PREAMBLE: Final = struct.Struct("<8sII")
"""Not the kernel's: what the agent sends before it passes requests on. `MAGIC`, and whose the files are to be shown as:
uid and gid."""
MAGIC: Final = b"sandtop\1"

# requests
INIT_IN: Final = struct.Struct("<IIII")
FORGET_IN: Final = struct.Struct("<Q")
BATCH_FORGET_IN: Final = struct.Struct("<II")
FORGET_ONE: Final = struct.Struct("<QQ")
GETATTR_IN: Final = struct.Struct("<IIQ")
SETATTR_IN: Final = struct.Struct("<II6Q8I")
MKNOD_IN: Final = struct.Struct("<IIII")
MKDIR_IN: Final = struct.Struct("<II")
RENAME_IN: Final = struct.Struct("<Q")
RENAME2_IN: Final = struct.Struct("<QII")
LINK_IN: Final = struct.Struct("<Q")
OPEN_IN: Final = struct.Struct("<II")
CREATE_IN: Final = struct.Struct("<IIII")
READ_IN: Final = struct.Struct("<QQIIQII")
WRITE_IN: Final = READ_IN
RELEASE_IN: Final = struct.Struct("<QIIQ")
FSYNC_IN: Final = struct.Struct("<QII")
FALLOCATE_IN: Final = struct.Struct("<QQQII")
LSEEK_IN: Final = struct.Struct("<QQII")

# answers
INIT_OUT: Final = struct.Struct("<IIIIHHIIHHI28x")
ATTR: Final = struct.Struct("<6Q10I")
ENTRY_OUT: Final = struct.Struct("<4QII")
"""What comes before the attributes: node, generation, the seconds that name and attributes hold, and nanoseconds."""
ATTR_OUT: Final = struct.Struct("<QII")
OPEN_OUT: Final = struct.Struct("<QII")
WRITE_OUT: Final = struct.Struct("<II")
STATFS_OUT: Final = struct.Struct("<5Q4I24x")
LSEEK_OUT: Final = struct.Struct("<Q")
DIRENT: Final = struct.Struct("<QQII")

# flags of INIT, those that are asked for where the kernel has them
ASYNC_READ: Final = 1 << 0
ATOMIC_O_TRUNC: Final = 1 << 3
BIG_WRITES: Final = 1 << 5
AUTO_INVAL_DATA: Final = 1 << 12
DO_READDIRPLUS: Final = 1 << 13
READDIRPLUS_AUTO: Final = 1 << 14
PARALLEL_DIROPS: Final = 1 << 18
HANDLE_KILLPRIV: Final = 1 << 19
MAX_PAGES: Final = 1 << 22
WANTED: Final = (
    ASYNC_READ
    | ATOMIC_O_TRUNC
    | BIG_WRITES
    | AUTO_INVAL_DATA
    | DO_READDIRPLUS
    | READDIRPLUS_AUTO
    | PARALLEL_DIROPS
    | HANDLE_KILLPRIV
    | MAX_PAGES
)

GETATTR_FH: Final = 1

# what SETATTR sets
SET_MODE: Final = 1 << 0
SET_UID: Final = 1 << 1
SET_GID: Final = 1 << 2
SET_SIZE: Final = 1 << 3
SET_ATIME: Final = 1 << 4
SET_MTIME: Final = 1 << 5
BY_HANDLE: Final = 1 << 6
ATIME_NOW: Final = 1 << 7
MTIME_NOW: Final = 1 << 8
