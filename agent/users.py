"""Users and groups, read from the image's /etc/passwd and /etc/group.

Not by way of Python's pwd and grp: for those glibc would load libraries of the image into the agent.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_MAX_FILE: Final = 4 << 20
_MAX_ID: Final = (1 << 32) - 2
_MAX_GROUPS: Final = 1024
_MAX_NAMES: Final = 4096
_MAX_SHOWN: Final = 32
"""Characters of a name that people are shown."""


class UnknownUser(Exception):
    """There is no such user or group. ``str()`` is a message for the user."""


class User:
    """The user that a program runs as.

    Attributes:
        groups: supplementary groups, without ``gid``.
    """

    __slots__ = ("gid", "groups", "home", "name", "uid")

    def __init__(self, name: str, uid: int, gid: int, groups: tuple[int, ...], home: str) -> None:
        self.name = name
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


_Signature = tuple[object, ...]
_known: dict[tuple[str, str], tuple[_Signature, User]] = {}
_MAX_KNOWN: Final = 16


def find_user(wanted: str, etc: str = "/etc") -> User:
    """The user that ``wanted`` names, as ``name``, ``uid``, ``uid:gid`` or ``name:group``. Raises `UnknownUser`.

    A uid without an entry has the group of the same number, and the home /; root without an entry has the home /root.
    With an explicit group there are no supplementary groups.
    """
    signature = (*_signature(f"{etc}/passwd"), *_signature(f"{etc}/group"))
    known = _known.get((wanted, etc))
    if known is not None and known[0] == signature:
        return known[1]
    user = _look_up(wanted, etc)
    if len(_known) >= _MAX_KNOWN:
        _known.clear()
    _known[wanted, etc] = signature, user
    return user


_names: tuple[_Signature, dict[int, str]] = ((), {})


def names_of(etc: str = "/etc") -> dict[int, str]:
    """The name of each user by its number: the first in /etc/passwd, of several."""
    global _names
    signature = _signature(f"{etc}/passwd")
    if _names[0] != signature:
        found: dict[int, str] = {}
        for name, _password, uid_text, *_ in _entries(f"{etc}/passwd", 6):
            if (uid := _number(uid_text)) is not None and len(found) < _MAX_NAMES:
                found.setdefault(uid, name[:_MAX_SHOWN])
        _names = signature, found
    return _names[1]


def _signature(path: str) -> _Signature:
    """A value that changes when the file is changed or replaced."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _look_up(wanted: str, etc: str) -> User:
    who, colon, group = wanted.partition(":")
    entry = _user_entry(who, etc)
    if entry is None:
        uid = 0 if who == "root" else _number(who)
        if uid is None:
            raise UnknownUser(f"there is no user {who!r} in the sandbox")
        entry = User(who, uid, uid, (), "/") if uid else User("root", 0, 0, (), "/root")
    elif not colon:
        entry.groups = _groups_of(entry, etc)
    if colon:
        entry.gid = _find_group(group, etc)
    return entry


def _number(value: str) -> int | None:
    if not (value.isascii() and value.isdecimal()) or len(value) > 10:
        return None
    number = int(value)
    return number if number <= _MAX_ID else None


def _user_entry(who: str, etc: str) -> User | None:
    """The entry with this name or, when there is none, with this number."""
    wanted, by_number = _number(who), None
    for name, _password, uid_text, gid_text, _gecos, home, *_ in _entries(f"{etc}/passwd", 6):
        uid, gid = _number(uid_text), _number(gid_text)
        if uid is None or gid is None:
            continue
        if name == who:
            return User(name, uid, gid, (), home or "/")
        if uid == wanted and by_number is None:
            by_number = User(name, uid, gid, (), home or "/")
    return by_number


def _find_group(group: str, etc: str) -> int:
    for name, _password, gid_text, *_ in _entries(f"{etc}/group", 4):
        gid = _number(gid_text)
        if name == group and gid is not None:
            return gid
    number = _number(group)
    if number is None:
        raise UnknownUser(f"there is no group {group!r} in the sandbox")
    return number


def _groups_of(user: User, etc: str) -> tuple[int, ...]:
    found: list[int] = []
    for _name, _password, gid_text, members, *_ in _entries(f"{etc}/group", 4):
        gid = _number(gid_text)
        if gid is not None and user.name in members.split(",") and gid not in (user.gid, *found):
            found.append(gid)
    return tuple(found[:_MAX_GROUPS])


def _entries(path: str, fields: int) -> Iterator[list[str]]:
    """The fields of each line that has at least ``fields`` of them. A file that cannot be read has no lines."""
    for line in read_small_file(path).split("\n"):
        parts = line.split(":")
        if len(parts) >= fields:
            yield parts


def read_small_file(path: str, limit: int = _MAX_FILE) -> str:
    """The first ``limit`` bytes of a regular file of the image; empty when there is none.

    Whatever the image has at ``path``, the agent does not block: not at a FIFO or a device either.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return ""
        return os.fsdecode(os.read(fd, min(status.st_size, limit)))
    except OSError:
        return ""
    finally:
        os.close(fd)
