"""``image.…``: what sandboxes start from."""

from __future__ import annotations

from .record import Change, Nothing, Record, Request

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Literal

    from .limits import Disk, Memory, Processors, Text, Time


class ImageInfo(Record):
    """An image: ``size`` is in bytes, ``created_at`` in seconds since the epoch.

    Attributes:
        source: what it was made of, in words.
        used_by: a sandbox that was made of it, or None.
        templates: how many shapes of sandboxes start at once from it …
        template_size: … and the bytes that these take on the disk.
        templates_outdated: those of them that no sandbox can use any more.
        standing_by: machines that are ready to become sandboxes of it.
    """

    name: str
    digest: str
    size: int
    created_at: Time
    source: str | None = None
    used_by: str | None = None
    templates: int = 0
    template_size: int = 0
    templates_outdated: int = 0
    standing_by: int = 0


class Images(Record):
    """All of them, by name."""

    images: list[ImageInfo]


class ImageAnswer(Record):
    """The image as it is now."""

    image: ImageInfo


class ImageList(Request[Images], op="image.list"):
    """The images that sandboxes can start from."""


class ImageBuild(Change[ImageAnswer], op="image.build", slow=True):
    """Make one. ``source``: the absolute path of a folder or a tar; None builds ``base``."""

    name: Text
    source: str | None = None


class ImageWarm(Change[Nothing], op="image.warm", slow=True):
    """Prepare the templates from which sandboxes of this shape start; None is the core's default."""

    image: Text | None = None
    cpus: Processors | None = None
    memory: Memory | None = None
    disk: Disk | None = None
    network: Literal["none", "user"] | None = None
    accelerator: Literal["kvm", "tcg"] | None = None


class ImageRemove(Change[Nothing], op="image.rm", slow=True):
    """Remove one that no sandbox was made of, after the build that is under way."""

    name: Text
