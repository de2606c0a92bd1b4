"""``image.…``: what sandboxes start from."""

from __future__ import annotations

from .record import Change, Nothing, Record, Request

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Literal

    from .limits import Disk, Memory, Processors, StepKey, Text, Time


STEP = "a step of a build"
"""The source of an image that a build made for itself, and removes at its end."""


class ImageInfo(Record):
    """An image: ``size`` is in bytes, ``created_at`` in seconds since the epoch.

    Attributes:
        source: what it was made of, in words.
        pinned: the container image that it was pulled as, by its digest in the registry; None of all others.
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
    pinned: str | None = None


class ImageConfig(Record):
    """What a container image's own configuration says: the defaults of sandboxes that are made of it.

    Attributes:
        user: empty for root.
        workdir: empty for ``/``.
        entrypoint: the program that ``sandtop run`` starts, with its first arguments …
        cmd: … and the rest of them, where no other command is given.
        stop_signal: by which its programs are asked to end; empty for SIGTERM.
        volumes: folders that it says are data; nothing is mounted there.
        ports: those that its programs listen on, as ``80/tcp``; none is opened.
    """

    env: dict[str, str]
    user: str = ""
    workdir: str = ""
    entrypoint: list[str]
    cmd: list[str]
    stop_signal: str = ""
    labels: dict[str, str]
    volumes: list[str]
    ports: list[str]


class ImageLayer(Record):
    """A layer: the digest of its file (``sha256:…``), and the bytes that this has."""

    digest: str
    size: int


class ImageDetails(Record):
    """All that is known of an image.

    Attributes:
        id: of a container image the digest of its configuration, which docker calls its ID; None of all others.
        config: of a container image; None of all others.
        layers: of a container image, the lowest first. Each is kept once, whatever images have it.
    """

    image: ImageInfo
    id: str | None = None
    config: ImageConfig | None = None
    layers: list[ImageLayer]


class Images(Record):
    """All of them, by name."""

    images: list[ImageInfo]


class Pruned(Record):
    """The names of the images that are gone, and the bytes that are free now."""

    images: list[str]
    freed: int


class BuildStep(Record):
    """A step of a build that is kept: how many layers there are now, and the bytes that came of this step."""

    layers: int
    size: int


class KnownSteps(Record):
    """Those of the keys whose steps are kept."""

    keys: list[str]


class ImageAnswer(Record):
    """The image as it is now."""

    image: ImageInfo


class ImageList(Request[Images], op="image.list"):
    """The images that sandboxes can start from."""


class ImageBuild(Change[ImageAnswer], op="image.build", slow=True):
    """Make one. ``source``: the absolute path of a folder or a tar; None builds ``base``."""

    name: Text
    source: str | None = None


class ImagePull(Change[ImageAnswer], op="image.pull", slow=True):
    """Fetch a container image from its registry, where that has another than we, and make an image of it.

    Attributes:
        name: such as ``debian:12`` or ``ghcr.io/user/image@sha256:…``.
        docker_config: the absolute path of docker's config.json with the passwords; None for the user's own.
        insecure: also without TLS, or with a certificate that nobody vouches for.
    """

    name: Text
    docker_config: str | None = None
    insecure: bool = False


class ImageLoad(Change[Images], op="image.load", slow=True):
    """Make images of those in a file: what ``docker save`` writes, an OCI archive, an OCI layout.

    Attributes:
        path: absolute.
        name: what the only one in it is to be called; None for what they say themselves.
    """

    path: str
    name: Text | None = None


class ImageCommit(Change[ImageAnswer], op="image.commit", slow=True):
    """Make an image of what a sandbox holds now: its image, and what has changed in it as a layer on top.

    Attributes:
        name: replaced where there is an image of that name.
        changes: of its configuration, as in a Dockerfile: ``CMD ["sh"]``.
    """

    sandbox: str
    name: Text
    changes: list[str] | None = None


class ImageStep(Change[BuildStep], op="image.step", slow=True):
    """Keep what has changed in a sandbox as a step of a build, for an image of it and for builds to come.

    Attributes:
        key: made by the client, of all that the step depends on.
        parent: the step before, of which the sandbox was made or that was taken of it last; what has changed since is
            this one. None: the sandbox's image is what was before.
    """

    sandbox: str
    key: StepKey
    parent: StepKey | None = None


class ImageSteps(Request[KnownSteps], op="image.steps"):
    """Which of these steps of builds are kept."""

    keys: list[StepKey]


class ImageAssemble(Change[ImageAnswer], op="image.assemble", slow=True):
    """Make an image of the layers after a step of a build, or of those of another image; of none without either.

    Attributes:
        source: what it was built from, in words.
    """

    name: Text
    config: ImageConfig
    step: StepKey | None = None
    image: Text | None = None
    source: Text


class ImageTag(Change[ImageAnswer], op="image.tag", slow=True):
    """Call an image by the name ``new``, too, whatever had that before."""

    name: Text
    new: Text


class ImageInspect(Request[ImageDetails], op="image.inspect"):
    """All that is known of one."""

    name: Text


class ImagePrune(Change[Pruned], op="image.prune", slow=True):
    """Free what no image has any more: files, layers of pulls that were cut off. With ``all`` images without a sandbox.

    The image ``base`` stays.
    """

    all: bool = False


class ImageWarm(Change[Nothing], op="image.warm", slow=True):
    """Prepare the templates from which sandboxes of this shape start; None is the core's default."""

    image: Text | None = None
    cpus: Processors | None = None
    memory: Memory | None = None
    disk: Disk | None = None
    network: Literal["none", "user", "user:host-loopback", "filtered"] | None = None
    accelerator: Literal["kvm", "tcg"] | None = None


class ImageRemove(Change[Nothing], op="image.rm", slow=True):
    """Remove one that no sandbox was made of, after the build that is under way."""

    name: Text
