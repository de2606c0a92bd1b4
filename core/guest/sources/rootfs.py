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
_WHITEOUT: Final = b".wh."
_AUFS: Final = b".wh..wh."
_OPAQUE: Final = b".wh..wh..opq"


@dataclass(slots=True)
class Inode:
    """What is not a folder: the member that it is of, and where it ends up. One with several names is hard-linked."""

    index: int
    kind: Kind
    target: bytes
    layer: int = 0
    names: list[tuple[Folder, bytes]] = field(default_factory=list["tuple[Folder, bytes]"])

    def paths(self) -> list[bytes]:
        return [folder.path(name) for folder, name in self.names]


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that a higher ``layer`` gave what a lower one has."""

    inode: Inode
    layer: int


@dataclass(slots=True)
class Folder:
    """A folder, and the member that says what it is like; None when no member does.

    Attributes:
        layer: the last one that had it, or something in it.
        swept: the last one that removed from it what lower layers have there.
    """

    above: Folder | None
    name: bytes
    member: Member | None = None
    layer: int = 0
    swept: int = 0
    entries: dict[bytes, Folder | Inode | Alias] = field(
        default_factory=dict[bytes, "Folder | Inode | Alias"]
    )

    def get(self, name: bytes) -> Folder | Inode | None:
        """What has this name here."""
        found = self.entries.get(name)
        return found.inode if isinstance(found, Alias) else found

    def path(self, *names: bytes) -> bytes:
        parts, at = [*reversed(names)], self
        while at.above is not None:
            parts.append(at.name)
            at = at.above
        return b"/".join(reversed(parts))


class Root:
    """A root file system, put together member by member as tar(1) would unpack them into an empty folder.

    Of two members of one name the last counts; a name that leads through a link is followed, inside of the root.

    The tars of a container image are laid over each other: `next_layer` begins the next, and there whiteouts remove
    what lower layers have (OCI image specification, "Image Layer Filesystem Changeset").
    """

    def __init__(self) -> None:
        self.top = Folder(None, b"")
        self._layer = 0
        self._count = 0
        self._bytes = 0

    def next_layer(self) -> None:
        """What is added from now on is of the next layer of a container image, the first one too."""
        self._layer += 1

    def make_folder(self, path: bytes, member: Member) -> None:
        """See to it that there is a folder at ``path``: one that is not there is made like ``member``.

        Where something else is in its place, that stays.
        """
        try:
            way = _parts(path, member)
            above = self._folder(way[:-1], member) if way else self.top
        except ImageError:
            return
        if way and way[-1] not in above.entries:
            self._new_folder(above, way[-1]).member = member

    def add(self, index: int, member: Member) -> None:
        """Put ``member``, the archive's ``index``-th, in its place. Raises `ImageError`."""
        self._check(member)
        way = _parts(member.name, member)
        if not way:
            if member.kind is not Kind.FOLDER:
                raise ImageError(f"{shown(member.name)}: {member.kind.value} in the place of the root")
            return
        if self._layer and any(part.startswith(_WHITEOUT) for part in way):
            self._white_out(way, member)
            return
        above, name = self._folder(way[:-1], member), way[-1]
        if self._layer and member.kind in (Kind.CHARACTER, Kind.BLOCK):
            _check_device(member, above)
        there = above.entries.get(name)
        if member.kind is Kind.FOLDER:
            if not isinstance(there, Folder):
                there = self._new_folder(above, name)
            there.member, there.layer = member, self._layer
            return
        self._count_one()
        above.entries[name] = (
            self._linked(member)
            if member.kind is Kind.HARD_LINK
            else Inode(index, member.kind, member.target, self._layer)
        )

    def _white_out(self, way: Way, member: Member) -> None:
        """Remove what ``member`` says from what lower layers have. What its own layer has stays, wherever it stands."""
        if any(part.startswith(_AUFS) and part != _OPAQUE for part in way):
            return  # what the file system that Docker had first kept for itself
        if any(part.startswith(_WHITEOUT) for part in way[:-1]):
            raise ImageError(f"{shown(member.name)}: something in a whiteout")
        self._count_one()
        above, name = self._folder(way[:-1], member, touch=False), way[-1]
        if name == _OPAQUE:
            self._sweep(above)
            return
        hidden = name.removeprefix(_WHITEOUT)
        if hidden in (b"", b".", b".."):
            raise ImageError(f"{shown(member.name)}: a whiteout of nothing that can be in a folder")
        there = above.entries.get(hidden)
        if there is None:
            return
        if isinstance(there, Folder):
            self._sweep(there)
        if there.layer < self._layer:
            del above.entries[hidden]

    def _sweep(self, folder: Folder) -> None:
        """Remove all that lower layers have in ``folder``. Each folder is swept once a layer, however often asked."""
        pending = [folder]
        while pending:
            at = pending.pop()
            if at.swept == self._layer:
                continue
            at.swept = self._layer
            at.entries = {name: entry for name, entry in at.entries.items() if entry.layer == self._layer}
            pending += [entry for entry in at.entries.values() if isinstance(entry, Folder)]

    def settle(self) -> dict[int, Inode]:
        """Nothing more is added: what is in the root now, with its names, by the index of its member."""
        found: dict[int, Inode] = {}
        for folder in self.folders():
            for name in folder.entries:
                entry = folder.get(name)
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
        above.entries[name] = made = Folder(above, name, layer=self._layer, swept=self._layer)
        return made

    def _linked(self, member: Member) -> Inode | Alias:
        """What a hard link is another name of."""
        absent = f"{shown(member.name)}: a hard link to {shown(member.target)}, which is not in the archive before it"
        *way, name = _parts(member.target, member) or (b"",)
        found = self._folder(tuple(way), member, absent, touch=False).get(name)
        if not isinstance(found, Inode):
            raise ImageError(absent)
        return found if found.layer == self._layer else Alias(found, self._layer)

    def _folder(self, way: Way, member: Member, absent: str = "", *, touch: bool = True) -> Folder:
        """The folder at ``way``, through links. One that is not there is made, or ``absent`` raised.

        With ``touch`` all on the way count as the layer's own from now on.
        """
        at, pending, steps = self.top, [*reversed(way)], 0
        while pending:
            steps += 1
            if steps > _MAX_STEPS:
                raise ImageError(f"{shown(member.name)}: leads through links without end")
            name = pending.pop()
            entry = (at.above or at) if name == b".." else at.get(name)
            if isinstance(entry, Folder):
                at = entry
                if touch:
                    at.layer = self._layer
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


def _check_device(member: Member, above: Folder) -> None:
    """Devices in /dev are hidden by the guest's own. Anywhere else one would be a way round the modes of those."""
    if above.path().split(b"/")[0] != b"dev":
        raise ImageError(f"{shown(member.name)}: {member.kind.value} outside of /dev")


def _parts(name: bytes, whose: Member) -> Way:
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise ImageError(f"{shown(whose.name)}: a name with '..' in it: {shown(name)}")
    if any(len(part) > _MAX_NAME for part in parts):
        raise ImageError(f"{shown(whose.name)}: a name of more than {_MAX_NAME} bytes")
    return parts
