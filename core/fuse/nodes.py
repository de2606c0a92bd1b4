"""What the guest's kernel knows of a folder: a number for each file or directory that it has looked up.

No node holds a descriptor, since there may be a million: it is found again by its path, and known to be the same by
device and inode number. One that is not there any more, because the host has moved or removed it, is stale; the guest's
kernel then looks its name up again.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from sandtop.core.fuse.protocol import ROOT

_LONGEST: Final = 4095
"""Bytes of a path that openat2 takes."""


class Node:
    """A file or directory.

    Attributes:
        id: its number in the protocol; none is used twice.
        key: its device and inode number on the host.
        parent: the directory that it was seen in last; the root's is itself.
        name: its name there.
        lookups: how often the guest's kernel was told of it and has not forgotten it.
        handles: descriptors by which it is open.
    """

    __slots__ = ("handles", "id", "key", "lookups", "name", "parent")

    def __init__(self, number: int, key: tuple[int, int], parent: Node | None, name: bytes) -> None:
        self.id = number
        self.key = key
        self.parent = self if parent is None else parent
        self.name = name
        self.lookups = 0
        self.handles: list[int] = []

    def path(self) -> bytes:
        """Its path in the folder. Raises OSError for one that no call of the kernel takes."""
        names: list[bytes] = []
        length, node = 0, self
        while node.id != ROOT:
            names.append(node.name)
            length += len(node.name) + 1
            if length > _LONGEST:  # or the host has moved directories into one another
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            node = node.parent
        return b"/".join(reversed(names)) or b"."


class Nodes:
    """The nodes of one mount, at most ``most`` at a time. ``root`` is the key of the folder itself."""

    def __init__(self, root: tuple[int, int], most: int) -> None:
        self.root = Node(ROOT, root, None, b"")
        self._most = most
        self._by_id: dict[int, Node] = {ROOT: self.root}
        self._by_key: dict[tuple[int, int], Node] = {root: self.root}
        self._last = ROOT

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, number: int) -> Node:
        """The node of that number. Raises OSError when there is none."""
        node = self._by_id.get(number)
        if node is None:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return node

    def seen(self, parent: Node, name: bytes, status: os.stat_result) -> Node:
        """The node of what is at ``name`` in ``parent``, of which the guest's kernel is told once more.

        What was known by another path is another node, unless it has several: its number may be that of a file that
        the host has removed. Raises OSError when there are too many.
        """
        key = status.st_dev, status.st_ino
        node = self._by_key.get(key)
        if node is not None and (node.parent is not parent or node.name != name):
            if node.id != ROOT and status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
                node.parent, node.name = parent, name
            else:
                node = None
        if node is None:
            if len(self._by_id) >= self._most:
                raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
            self._last += 1
            node = self._by_id[self._last] = self._by_key[key] = Node(self._last, key, parent, name)
        node.lookups += 1
        return node

    def moved(self, parent: Node, name: bytes, status: os.stat_result) -> None:
        """The guest has moved to ``name`` in ``parent`` what has this ``status``."""
        node = self._by_key.get((status.st_dev, status.st_ino))
        if node is not None:
            node.parent, node.name = parent, name

    def removed(self, status: os.stat_result) -> None:
        """The guest has removed a name of what had this ``status`` before: the host may use its number again."""
        key = status.st_dev, status.st_ino
        if key in self._by_key and (status.st_nlink <= 1 or stat.S_ISDIR(status.st_mode)):
            del self._by_key[key]

    def forget(self, number: int, lookups: int) -> None:
        """The guest's kernel has forgotten so many of the lookups."""
        node = self._by_id.get(number)
        if node is None or node.id == ROOT:
            return
        node.lookups -= lookups
        if node.lookups <= 0:
            del self._by_id[number]
            if self._by_key.get(node.key) is node:
                del self._by_key[node.key]
