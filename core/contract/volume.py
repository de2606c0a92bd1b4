"""``volume.…``: disks with a name that outlive the sandboxes which mount them."""

from __future__ import annotations

from .record import Change, Nothing, Record, Request

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .limits import Count, Disk, Text, Time


class VolumeInfo(Record):
    """A volume.

    Attributes:
        size: bytes that it can hold.
        used: bytes that it takes on the host.
        created_at: seconds since the epoch.
        sandboxes: the names of those that mount it, whether they run or not.
        writer: that of them that runs and may write to it, or None.
    """

    name: str
    size: Count
    used: Count
    created_at: Time
    sandboxes: list[str]
    writer: str | None = None


class VolumeAnswer(Record):
    """The volume as it is now."""

    volume: VolumeInfo


class Volumes(Record):
    """All of them, by name."""

    volumes: list[VolumeInfo]


class VolumesPruned(Record):
    """The names of the volumes that are gone, and the bytes that are free now."""

    volumes: list[str]
    freed: Count


class VolumeCreate(Change[VolumeAnswer], op="volume.create", slow=True):
    """Make one of ``size`` MiB, 8 GiB where none is given; one that is there already stays as it is."""

    name: Text
    size: Disk | None = None


class VolumeList(Request[Volumes], op="volume.list"):
    """All of them."""


class VolumeInspect(Request[VolumeAnswer], op="volume.inspect"):
    """All that is known of one."""

    name: Text


class VolumeRemove(Change[Nothing], op="volume.rm"):
    """Remove one that no sandbox mounts, with all that is in it."""

    name: Text


class VolumePrune(Change[VolumesPruned], op="volume.prune", slow=True):
    """Remove all that no sandbox mounts, with all that is in them."""
