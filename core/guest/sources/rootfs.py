"""What the members of a tar come to as a root file system."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError
from sandtop.core.tar.fields import shown
from sandtop.core.tar.reader import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandtop.core.tar.reader import Member

    Way = tuple[bytes, ...]

MAX_NAMES: Final = 1 << 21
"""Names in an image, folders that no member stands for among them; some 400 bytes of memory each."""
MAX_BYTES: Final = 256 << 30
"""Of all files, holes included: 64 GiB of holes alone take a minute to make an image of."""
_MAX_NAME: Final = 255
_MAX_STEPS: Final = 4096
"""Parts of one name, with those of the links that it leads through."""
_MAX_ID: Final = (1 << 32) - 2
_MAX_MAJOR: Final = 0xFFF  # Linux, include/linux/kdev_t.h: 12 bits, and 20 of the minor number
_MAX_MINOR: Final = 0xFFFFF


@dataclass(slots=True)
class Inode:
    """What is not a folder: the member that it is of, and where it ends up. One with several names is hard-linked."""

    index: int
    kind: Kind
    target: bytes
    names: list[tuple[Folder, bytes]] = field(default_factory=list["tuple[Folder, bytes]"])

    def paths(self) -> list[bytes]:
        return [folder.path(name) for folder, name in self.names]


@dataclass(slots=True)
class Folder:
    """A folder, and the member that says what it is like; None when no member does."""

    above: Folder | None
    name: bytes
    member: Member | None = None
    entries: dict[bytes, Folder | Inode] = field(default_factory=dict[bytes, "Folder | Inode"])

    def path(self, *names: bytes) -> bytes:
        parts, at = [*reversed(names)], self
        while at.above is not None:
            parts.append(at.name)
            at = at.above
        return b"/".join(reversed(parts))


class Root:
    """A root file system, put together member by member as tar(1) would unpack them into an empty folder.

    Of two members of one name the last counts; a name that leads through a link is followed, inside of the root.
    """

    def __init__(self) -> None:
        self.top = Folder(None, b"")
        self._count = 0
        self._bytes = 0

    def add(self, index: int, member: Member) -> None:
        """Put ``member``, the archive's ``index``-th, in its place. Raises `ImageError`."""
        self._check(member)
        way = _parts(member.name, member)
        if not way:
            if member.kind is not Kind.FOLDER:
                raise ImageError(f"{shown(member.name)}: {member.kind.value} in the place of the root")
            return
        above, name = self._folder(way[:-1], member), way[-1]
        there = above.entries.get(name)
        if member.kind is Kind.FOLDER:
            if not isinstance(there, Folder):
                there = self._new_folder(above, name)
            there.member = member
            return
        self._count_one()
        above.entries[name] = (
            self._linked(member)
            if member.kind is Kind.HARD_LINK
            else Inode(index, member.kind, member.target)
        )

    def settle(self) -> dict[int, Inode]:
        """Nothing more is added: what is in the root now, with its names, by the index of its member."""
        found: dict[int, Inode] = {}
        for folder in self.folders():
            for name, entry in folder.entries.items():
                if isinstance(entry, Inode):
                    entry.names.append((folder, name))
                    found[entry.index] = entry
        return found

    def folders(self) -> Iterator[Folder]:
        """All folders, each after the one that it is in."""
        pending = [self.top]
        while pending:
            folder = pending.pop()
            yield folder
            pending += [entry for entry in folder.entries.values() if isinstance(entry, Folder)]

    def _check(self, member: Member) -> None:
        self._bytes += member.size
        if self._bytes > MAX_BYTES:
            raise ImageError(f"{shown(member.name)}: the files come to more than {MAX_BYTES >> 30} GiB")
        if member.kind is Kind.OTHER:
            raise ImageError(f"{shown(member.name)}: a member of a kind that is not known")
        if max(member.uid, member.gid) > _MAX_ID:
            raise ImageError(f"{shown(member.name)}: an owner that no file can have")
        major, minor = member.device
        if not (0 <= major <= _MAX_MAJOR and 0 <= minor <= _MAX_MINOR):
            raise ImageError(f"{shown(member.name)}: a device that no kernel has")

    def _count_one(self) -> None:
        self._count += 1
        if self._count > MAX_NAMES:
            raise ImageError(f"more than {MAX_NAMES} names")

    def _new_folder(self, above: Folder, name: bytes) -> Folder:
        self._count_one()
        above.entries[name] = made = Folder(above, name)
        return made

    def _linked(self, member: Member) -> Inode:
        """What a hard link is another name of."""
        absent = f"{shown(member.name)}: a hard link to {shown(member.target)}, which is not in the archive before it"
        *way, name = _parts(member.target, member) or (b"",)
        found = self._folder(tuple(way), member, absent).entries.get(name)
        if not isinstance(found, Inode):
            raise ImageError(absent)
        return found

    def _folder(self, way: Way, member: Member, absent: str = "") -> Folder:
        """The folder at ``way``, through links. One that is not there is made, or ``absent`` raised."""
        at, pending, steps = self.top, [*reversed(way)], 0
        while pending:
            steps += 1
            if steps > _MAX_STEPS:
                raise ImageError(f"{shown(member.name)}: leads through links without end")
            name = pending.pop()
            entry = (at.above or at) if name == b".." else at.entries.get(name)
            if isinstance(entry, Folder):
                at = entry
            elif entry is None:
                if absent:
                    raise ImageError(absent)
                at = self._new_folder(at, name)
            elif entry.kind is Kind.LINK:
                if entry.target.startswith(b"/"):
                    at = self.top
                pending += [part for part in reversed(entry.target.split(b"/")) if part not in (b"", b".")]
            else:
                raise ImageError(
                    f"{shown(member.name)}: leads through {shown(at.path(name))}, {entry.kind.value}"
                )
        return at


def _parts(name: bytes, whose: Member) -> Way:
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise ImageError(f"{shown(whose.name)}: a name with '..' in it: {shown(name)}")
    if any(len(part) > _MAX_NAME for part in parts):
        raise ImageError(f"{shown(whose.name)}: a name of more than {_MAX_NAME} bytes")
    return parts
