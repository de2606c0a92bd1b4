"""What the core mounts in the sandbox, and a disk that has grown: calls to a server of their own, as root.

The server is in the sandbox's root, so that no link of the sandbox leads out of it, and opens the folder to mount on
there. The programs that mount and repair are the runtime's: they run in its root, and reach that folder by its
descriptor.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import struct
import time

from .files.call import GO_ON, Refused
from .files.status import make_parents
from .wire import values
from .wire.limits import MAX_OFFSET

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from typing import Final

    from .files.call import Call, Fields, Operation, Step, Steps

    Result = Generator[Step, None, tuple[int, str]]
    """The exit status, and the last line that was said."""

RUNTIME: Final = 3
"""The runtime's root: see `builtin`."""
_BLOCKS: Final = "/sys/block"
_SECTOR: Final = 512
_SECONDS: Final = 20.0
"""How long the kernel may take to see a disk that was plugged in, or that has grown."""
_LOOK: Final = 0.02
_ALIVE: Final = 1.0
_KEPT: Final = 4096
_RESIZE: Final = 0x40086610  # EXT4_IOC_RESIZE_FS, linux/ext4.h
_STEP: Final = 64 << 30
_SUPERBLOCK: Final = 1024
_STATE: Final = 0x3A
_ERRORS: Final = 2  # EXT4_ERROR_FS
_META_BG: Final = 0x10  # EXT4_FEATURE_INCOMPAT_META_BG
_64BIT: Final = 0x80  # EXT4_FEATURE_INCOMPAT_64BIT
_CREDITS: Final = 16
"""Blocks of a transaction that are for something else."""
_REPAIRED: Final = 4
"""What e2fsck(8) exits with from here on is a failure."""
_OPTIONS: Final = "nosuid,nodev"
_TMPFS_MODE: Final = 0o1777


def mount(fields: Fields, _call: Call) -> Steps:
    """``mount``: at ``target`` what ``kind`` says: ``tmpfs`` of ``size`` bytes with ``mode``, or ``disk``, that with
    this ``serial``; with ``read_only`` nobody writes there."""
    kind, target = values.text(fields, "kind"), values.text(fields, "target")
    how = _KINDS.get(kind)
    if how is None:
        raise Refused(errno.ENOSYS, f"this sandbox's agent cannot mount a {kind}")
    make_parents(target)
    folder = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        covered = os.fstat(folder)
        yield from how(fields, folder)
    finally:
        os.close(folder)
    if kind == "disk" and not values.boolean(fields, "read_only"):
        _settle_in(target, covered)
    return {}


def _tmpfs(fields: Fields, folder: int) -> Steps:
    mode = _TMPFS_MODE if fields.get("mode") is None else values.integer(fields, "mode", 0, 0o7777)
    size = "" if fields.get("size") is None else f",size={values.integer(fields, 'size', 1, MAX_OFFSET)}"
    words = f"{_OPTIONS},mode={mode:o}{size}{',ro' if values.boolean(fields, 'read_only') else ''}"
    yield from _mounted(["-t", "tmpfs", "-o", words, "tmpfs"], folder)
    return None


def _disk(fields: Fields, folder: int) -> Steps:
    """An ext4 of the core's making, written by guests since. Only this kernel reads it; e2fsck mends what it can."""
    serial, read_only = values.text(fields, "serial"), values.boolean(fields, "read_only")
    name = yield from _appeared(serial)
    device = f"/dev/{name}"
    words = ["-t", "ext4", "-o", f"noatime,{_OPTIONS}", device]
    if read_only:  # what a writer that was killed left in the journal cannot be replayed
        words[3] += ",ro"
        try:
            yield from _mounted(words, folder)
        except Refused:
            words[3] += ",noload"
            yield from _mounted(words, folder)
        return None
    if not has_errors(_superblock(name)):
        try:
            yield from _mounted(words, folder)
        except Refused:
            pass
        else:
            return None
    status, _ = yield from run(["/sbin/e2fsck", "-y", device])
    if status >= _REPAIRED:
        raise Refused(errno.EUCLEAN, f"it has no file system that e2fsck can mend (it exits with {status})")
    yield from _mounted(words, folder)
    return None


_KINDS: Final[Mapping[str, Callable[[Fields, int], Steps]]] = {"tmpfs": _tmpfs, "disk": _disk}


def _mounted(words: list[str], folder: int) -> Generator[Step, None, None]:
    """Mount on ``folder``. Raises Refused."""
    status, said = yield from run(["/bin/busybox", "mount", *words, f"/proc/self/fd/{folder}"], folder)
    if status:
        raise Refused(
            errno.EIO, said.replace(f"/proc/self/fd/{folder}", "it") or f"mount exited with {status}"
        )


def _settle_in(target: str, covered: os.stat_result) -> None:
    """A new disk is as the folder that it covers: of its owner, and empty: programs do not expect a ``lost+found``."""
    try:
        os.rmdir(os.path.join(target, "lost+found"))
    except OSError:
        return  # somebody has used it before
    os.chown(target, covered.st_uid, covered.st_gid)
    os.chmod(target, stat.S_IMODE(covered.st_mode))


def _superblock(name: str) -> bytes:
    """The superblock of the ext4 on a block device (fs/ext4/ext4.h, struct ext4_super_block)."""
    with open(f"/dev/{name}", "rb", buffering=0) as file:
        file.seek(_SUPERBLOCK)
        return file.read(_SUPERBLOCK)


def has_errors(superblock: bytes) -> bool:
    """Whether a kernel found errors in an ext4 earlier."""
    return bool(int.from_bytes(superblock[_STATE : _STATE + 2], "little") & _ERRORS)


def _appeared(serial: str) -> Generator[Step, None, str]:
    """The name of the block device with ``serial``, once there is one."""
    until = time.monotonic() + _SECONDS
    while (found := _with_serial(serial)) is None:
        if time.monotonic() > until:
            raise Refused(errno.ENODEV, f"the kernel has seen no disk '{serial}' within {_SECONDS:g} s")
        time.sleep(_LOOK)
        yield GO_ON
    return found


def _with_serial(serial: str) -> str | None:
    for name in sorted(os.listdir(_BLOCKS)):
        try:
            with open(f"{_BLOCKS}/{name}/serial") as file:
                if file.read().strip() == serial and os.path.exists(f"/dev/{name}"):
                    return name
        except OSError:
            continue  # it has none
    return None


def grow(fields: Fields, _call: Call) -> Steps:
    """``grow``: the sandbox's own disk has ``bytes`` by now: so has its file system, while it is in use."""
    wanted = values.integer(fields, "bytes", 1, MAX_OFFSET)
    name = yield from _appeared("overlay")
    until = time.monotonic() + _SECONDS
    while (size := _size(name)) < wanted:
        if time.monotonic() > until:
            raise Refused(errno.ENODEV, f"the kernel still sees {size} bytes after {_SECONDS:g} s")
        time.sleep(_LOOK)
        yield GO_ON
    superblock = _superblock(name)
    block, at = geometry(superblock)
    if wanted > at and wanted > (end := most(superblock)):
        raise Refused(errno.EFBIG, f"it can grow to {end >> 20} MiB at most")
    folder = os.open("overlay", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=RUNTIME)
    try:
        while at + block <= wanted:  # in pieces: the kernel tells nothing until it is done
            at = min(at + _STEP, wanted)
            fcntl.ioctl(folder, _RESIZE, struct.pack("Q", at // block))
            yield GO_ON
    finally:
        os.close(folder)
    return {"bytes": geometry(_superblock(name))[1]}


def limit(_fields: Fields, _call: Call) -> Steps:
    """``limit``: to how many bytes the sandbox's own disk can grow; no more than it has when it cannot."""
    name = yield from _appeared("overlay")
    return {"bytes": most(_superblock(name))}


def most(superblock: bytes) -> int:
    """To how many bytes the kernel can safely grow an ext4 that is in use.

    As far as there are blocks kept for a larger table of groups. Beyond them it changes the table's form (META_BG), and
    to grow such a one oopsed Linux 6.1. And all of these blocks have to fit a quarter of the journal, which those of
    disks that an older sandtop made do not (fs/ext4/resize.c, ext4_flex_group_add).
    """
    block, size = geometry(superblock)
    (a_group,) = struct.unpack_from("<I", superblock, 0x20)
    (features,) = struct.unpack_from("<I", superblock, 0x60)
    (kept,) = struct.unpack_from("<H", superblock, 0xCE)
    (entry,) = struct.unpack_from("<H", superblock, 0xFE)
    (journal,) = struct.unpack_from("<I", superblock, 0x14C)
    if features & _META_BG or kept + _CREDITS > journal // block // 4:
        return size
    entries = block // (entry if features & _64BIT else 32)
    groups = -(-size // (block * a_group))
    table: int = -(-groups // entries) + kept
    end: int = table * entries * a_group * block
    return end


def geometry(superblock: bytes) -> tuple[int, int]:
    """Bytes of a block of an ext4, and of all of them."""
    (low,) = struct.unpack_from("<I", superblock, 0x4)
    (order,) = struct.unpack_from("<I", superblock, 0x18)
    (high,) = struct.unpack_from("<I", superblock, 0x150)
    block = 1024 << order
    return block, (high << 32 | low) * block


def _size(name: str) -> int:
    with open(f"{_BLOCKS}/{name}/size") as file:
        return int(file.read()) * _SECTOR


def run(arguments: list[str], keep: int = -1) -> Result:
    """Run a program of the runtime's, which has the descriptor ``keep``; its exit status, and its last line."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _execute(arguments, writer, keep)
    os.close(writer)
    said = b""
    try:
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        while True:
            if poll.poll(_ALIVE * 1000):
                piece = os.read(reader, _KEPT)
                if not piece:
                    break
                said = (said + piece)[-_KEPT:]
            yield GO_ON
    finally:
        os.close(reader)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return abs(status), lines[-1] if lines else ""


def _execute(arguments: list[str], writer: int, keep: int) -> None:
    try:
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.fchdir(RUNTIME)
        os.chroot(".")
        for number in (1, 2):
            os.dup2(writer, number)
        if keep >= 0:
            os.set_inheritable(keep, True)
        os.execve(arguments[0], arguments, {"PATH": "/sbin:/bin"})
    finally:
        os._exit(127)


OPERATIONS: Final[Mapping[str, Operation]] = {"mount": mount, "grow": grow, "limit": limit}
