"""The files and folders of cgroups (v2) in the kernel's file system: read, written, walked."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

ROOT: Final = "/sys/fs/cgroup"
_MAX_PROCESSES: Final = 1 << 16
"""Processes of one cgroup that are looked at: a program that forks as fast as it can is not followed for ever."""


def signal_tree(path: str, number: int) -> None:
    """Send a signal to every process in the cgroup ``path`` and below, except those that have ended meanwhile."""
    for pid in processes_of(path):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def processes_of(path: str) -> Iterator[int]:
    """The pids of the processes in the cgroup ``path`` and below."""
    folders, seen = [path], 0
    while folders and seen < _MAX_PROCESSES:
        folder = folders.pop()
        for pid in read(f"{folder}/cgroup.procs").split():
            seen += 1
            yield int(pid)
        folders += folders_of(folder)


def folders_of(path: str) -> list[str]:
    """The cgroups right below ``path``."""
    try:
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def remove_tree(path: str) -> bool:
    """Remove the cgroup ``path`` with all below; False where one has processes."""
    folders = [path]
    for folder in folders:  # the list grows while it is read: parents come before children
        folders += folders_of(folder)
    try:
        for folder in reversed(folders):
            os.rmdir(folder)
    except OSError:
        return False
    return True


def set_frozen(path: str, value: str) -> None:
    """Freeze the processes of the cgroup ``path`` with ``"1"``, let them go on with ``"0"``; nothing if it is gone."""
    try:
        write(f"{path}/cgroup.freeze", value)
    except OSError:
        return


def open_file(path: str) -> int:
    """A descriptor of a file in sysfs or cgroupfs; -1 when there is none."""
    try:
        return os.open(path, os.O_RDONLY)
    except OSError:
        return -1


def read_open(fd: int) -> str:
    """The present content of the cgroup file behind ``fd``; empty when the cgroup is gone."""
    try:
        return os.pread(fd, 65536, 0).decode("ascii", "replace")
    except OSError:
        return ""


def is_populated(path: str) -> bool:
    """Whether there is a process in the cgroup ``path`` or below."""
    return "populated 1" in read(f"{path}/cgroup.events")


def number_in(table: str, key: str) -> int:
    """The number behind ``key`` in a file of lines such as ``usage_usec 12``; 0 when there is none."""
    for line in table.split("\n"):
        name, _, value = line.partition(" ")
        if name == key and value.isdecimal():
            return int(value)
    return 0


def read(path: str) -> str:
    """The content of a file in procfs or cgroupfs; empty when there is none."""
    fd = open_file(path)
    if fd < 0:
        return ""
    try:
        return read_open(fd)
    finally:
        os.close(fd)


def write(path: str, value: str) -> None:
    """Write ``value`` into a file in cgroupfs. Raises OSError."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
