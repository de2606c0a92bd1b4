"""What boots: the kernel, the guest runtime, the images and the overlay disks, built once and kept in the cache.

Kernel, runtime and the image ``base`` come from one Debian release, the same on every host (`archive`).

Synchronous, and some calls take half a minute: the daemon runs them in a thread or a child process.
"""

from __future__ import annotations

import importlib.util
import time
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from sandtop.core.errors import ImageError, MissingDependency, SandtopError
from sandtop.core.guest import archive, foundation, kernel, overlay, runtime, sources, tools
from sandtop.core.guest.containers import (
    ContainerConfig,
    Descriptor,
    Incoming,
    Kept,
    Layers,
    Pull,
    Reference,
    Stack,
    Steps,
    load,
    pull,
)
from sandtop.core.guest.containers import steps as steps_of_builds
from sandtop.core.guest.containers.kept import PATIENCE
from sandtop.core.guest.image import BASE, Image, ImageStore, check_name
from sandtop.core.guest.kernel import (
    KERNEL_ARGS,
    Kernel,
    egress_argument,
    network_argument,
    reject_argument,
    vsock_argument,
)
from sandtop.core.guest.runtime import Runtime
from sandtop.core.guest.store import locked, scratch_folder, temporary_folder
from sandtop.core.guest.tools import Progress
from sandtop.core.guest.volumes import Volume, Volumes
from sandtop.core.settings import GUEST_RELEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from sandtop.core.paths import Paths

__all__ = [
    "COST",
    "KERNEL_ARGS",
    "BootFiles",
    "ContainerConfig",
    "Descriptor",
    "GuestStore",
    "Image",
    "Incoming",
    "Kernel",
    "Progress",
    "Pull",
    "Reference",
    "Runtime",
    "Stack",
    "Steps",
    "Volume",
    "egress_argument",
    "network_argument",
    "reject_argument",
    "vsock_argument",
]

_T = TypeVar("_T")

COST: Final = "some 95 MB to fetch, 135 MB on the disk, about a minute"
"""What building everything takes, measured with a fast mirror on two cores."""


def _silent(line: str) -> None:
    """A `Progress` that nobody hears."""


@dataclass(frozen=True, slots=True)
class BootFiles:
    """The files that one guest boots from.

    Attributes:
        kernel: see `Kernel.image`.
        initramfs: see `Runtime.initrd`.
        image: the root file system, read-only.
    """

    kernel: Path
    initramfs: Path
    image: Path


@dataclass(frozen=True, slots=True)
class GuestStore:
    """All that guests boot from, below ``paths.cache``.

    Every method that builds something blocks until it is there, tells ``progress`` of its steps, and raises
    `ImageError`, `MissingDependency` or `StorageError`. What exists and is whole is never built again.

    Attributes:
        paths: where the cache is.
        release: the Debian release that guests are made of.
        agent: the folder of the package ``sandtop.agent``; None for the one that is installed.
    """

    paths: Paths
    agent: Path | None = None
    release: str = GUEST_RELEASE

    def kernel(self, progress: Progress = _silent) -> Kernel:
        """The kernel, fetched when it is not there."""
        return kernel.find(self._archive, self._cache) or self._with_scratch(
            lambda scratch: kernel.build(self._archive, self._cache, scratch, progress), progress
        )

    def runtime(self, progress: Progress = _silent) -> Runtime:
        """The runtime for `kernel` and the agent as it is now, built when it is not there."""
        return self._runtime(self.kernel(progress), progress)

    def boot_files(self, image_digest: str, progress: Progress = _silent) -> BootFiles:
        """What a guest of the image with this digest boots from; kernel and runtime are built when they are not there.

        Raises `ImageError` for the image, too.
        """
        linux = self.kernel(progress)
        runtime_of_it = self._runtime(linux, progress)
        return BootFiles(linux.image, runtime_of_it.initrd, self.image_path(image_digest))

    def _runtime(self, linux: Kernel, progress: Progress) -> Runtime:
        stands_on, agent = self._foundation(progress), self._agent()
        found = runtime.find(self._cache, linux, stands_on, agent)
        return found or runtime.build(self._cache, linux, stands_on, agent, progress)

    def image(self, name: str) -> Image:
        """The image called ``name``. Raises `NotFound`, with a hint that lists the names there are."""
        return self._images.get(name)

    def image_path(self, digest: str) -> Path:
        """The file of the image with this digest, for a sandbox that was made of it. Raises `ImageError`."""
        return self._images.check(digest)

    def images(self) -> list[Image]:
        """All images, by name."""
        return self._images.list()

    def build_base(self, progress: Progress = _silent) -> Image:
        """Build the ``base`` image from the newest packages, whether or not there is one."""
        with self._alone(progress):
            return self._add_base(progress)

    def build_image(self, name: str, source: Path, progress: Progress = _silent) -> Image:
        """Make an image of the user's own of what is at the path ``source``, a folder or a tar, replacing the name.

        Raises `InvalidRequest` for a name or source that cannot be, `ImageError`, `MissingDependency`, `StorageError`.
        """
        return self._images.add(name, sources.pick(source), progress)

    def find_image(self, name: str) -> Image | None:
        """As `image`; None where there is none."""
        return self._images.find(name)

    def pull_image(self, wanted: Pull, progress: Progress = _silent) -> Image:
        """Fetch a container image, where the registry has another than we, and make an image of it.

        Raises `NotFound` when the registry has none, `ImageError`, `MissingDependency`, `StorageError`.
        """
        name = wanted.reference.familiar

        def tell(line: str) -> None:
            progress(f"image {name}: {line}")

        with self._layers.in_use():
            here = self._images.find(name)
            pinned = here.container.pinned if here is not None and here.container is not None else ""
            kept = pull(self._layers, wanted, pinned, tell)
            if kept is None:
                tell("is what the registry has")
                return self._images.get(name)
            return self._add(kept, progress)

    def load_images(self, path: Path, name: str | None, progress: Progress = _silent) -> list[Image]:
        """Make images of those in a file: what docker save writes, an OCI archive or layout. See `containers.load`.

        Raises `InvalidRequest`, `ImageError`, `MissingDependency`, `StorageError`.
        """
        name = None if name is None else self.new_name(name)
        began = time.time()
        try:
            with self._layers.in_use(), scratch_folder(self._layers.root) as scratch:
                found = load(self._layers, path, name, scratch, lambda line: progress(f"{path}: {line}"))
                return [self._add(kept, progress) for kept in found]
        except SandtopError:
            self._layers.sweep(self._layers_in_use(), patience=PATIENCE, since=began)
            raise

    def new_name(self, name: str) -> str:
        """What an image that is made here is called that is to be called ``name``. Raises `InvalidRequest`."""
        if {":", "/"} & {*name}:
            return Reference.parse(name).familiar
        check_name(name)
        return name

    @property
    def steps(self) -> Steps:
        """What builds went through before."""
        return Steps(self._layers)

    @contextmanager
    def new_layers(self) -> Generator[Callable[[], AbstractContextManager[Incoming]]]:
        """While this lasts, layers that nothing has yet stay: gives what opens one. Raises `StorageError`."""
        with self._layers.in_use():
            yield self._layers.incoming

    def stack_of(self, name: str, digest: str) -> Stack | None:
        """The layers of the image ``name`` with this digest, or of another that has it; None where none are known."""
        images = [image for image in self.images() if image.digest == digest and image.container is not None]
        images.sort(key=lambda image: image.name != name)
        return images[0].container.stack if images and images[0].container is not None else None

    def assemble(
        self, name: str, stack: Stack, config: ContainerConfig, made: str, progress: Progress = _silent
    ) -> Image:
        """Make an image of layers that are here; ``made`` says how, in words. Raises as `load_images` does."""
        return self._add(Kept.of_stack(stack, self.new_name(name), config, made), progress)

    def _add(self, kept: Kept, progress: Progress) -> Image:
        try:
            return self._images.add_container(kept, kept.source(self._layers), progress)
        except ImageError:
            self._layers.drop_damaged(kept.layers)
            raise

    def tag_image(self, name: str, new: str, progress: Progress = _silent) -> Image:
        """Call an image by another name, too. Raises `NotFound`, `ImageError`, `InvalidRequest`."""
        return self._images.tag(name, new, progress)

    def remove_image(self, name: str, check: Callable[[Image], None], progress: Progress = _silent) -> None:
        """Forget an image and free its disk space, unless ``check`` raises for it. Raises `NotFound`, `ImageError`.

        Blocks while an image is built; see `ImageStore.remove`.
        """
        image = self._images.find(name)
        self._images.remove(name, check, progress)
        if image is not None and image.container is not None:
            self._layers.sweep(self._layers_in_use(), patience=PATIENCE, unused=image.container.digests)

    def prune_images(self, in_use: Callable[[], Collection[str]], progress: Progress = _silent) -> None:
        """Free what images left behind that were built again under their name, but for the digests ``in_use``.

        Layers that no image has go a day after they came: a pull that was cut off goes on from them. Blocks while an
        image is built; see `ImageStore.prune`.
        """
        self._images.prune(in_use, progress)
        self.steps.sweep(steps_of_builds.PATIENCE)
        self._layers.sweep(self._layers_in_use(), patience=PATIENCE)

    def free(self, in_use: Callable[[], Collection[str]], progress: Progress = _silent) -> int:
        """As `prune_images`, layers and builds' steps at once. Returns the bytes that are free now. Blocks likewise."""
        self.steps.sweep(0)
        freed = self._images.prune(in_use, progress)
        return freed + self._layers.sweep(self._layers_in_use(), patience=0)

    def _layers_in_use(self) -> set[str]:
        kept = (image.container for image in self._images.list())
        named = {digest for container in kept if container is not None for digest in container.digests}
        return named | self.steps.digests()

    @property
    def volumes(self) -> Volumes:
        """Disks that outlive sandboxes."""
        return Volumes(self.paths.volumes, self._cache)

    def create_overlay(self, path: Path, size: int, progress: Progress = _silent) -> None:
        """Make the file ``path`` an empty overlay disk of ``size`` bytes. See `overlay.create`."""
        overlay.create(self._cache, path, size, progress)

    def prepare(self, progress: Progress = _silent) -> None:
        """`build`, for somebody who waits for a sandbox: says first that it takes long, where it does.

        Raises `MissingDependency`, naming all that is missing and ``sandtop setup``, where the tools are not there.
        """
        lacking = self.lacking()
        if lacking:
            missing = tools.not_here()
            if missing:
                what = f"this machine is not set up for sandtop yet: it lacks {', '.join(missing)}"
                raise MissingDependency(what, hint="run: sandtop setup")
            progress(f"warning: this machine is not set up yet: building {lacking} first, {COST}")
        self.build(progress)

    def build(self, progress: Progress = _silent) -> None:
        """Build all that a first sandbox needs and that is not there yet. Takes milliseconds when all is."""
        self.runtime(progress)
        if not self._has_base():
            with self._alone(progress):
                if not self._has_base():  # another process may just have built it
                    self._add_base(progress)

    def lacking(self) -> str:
        """What `build` has to make of packages, in words; empty when there is nothing of that kind."""
        have = {
            "the kernel": kernel.find(self._archive, self._cache),
            "the guest runtime": foundation.find(self._archive, self._cache),
            "the base image": self._has_base() or None,
        }
        *most, last = [what for what, found in have.items() if found is None] or [""]
        return f"{', '.join(most)} and {last}" if most else last

    @property
    def _cache(self) -> Path:
        return self.paths.cache

    @property
    def _archive(self) -> archive.Archive:
        return archive.at(self._cache, self.release)

    @property
    def _images(self) -> ImageStore:
        return ImageStore(self.paths.images)

    @property
    def _layers(self) -> Layers:
        return Layers(self.paths.layers)

    @property
    def _base(self) -> sources.Source:
        return sources.Debian(self._archive)

    def _has_base(self) -> bool:
        """Whether there is a ``base`` to start from: the user's own, or one of Debian that is not outdated."""
        image = self._images.find(BASE)
        if image is None:
            return False
        return image.source == self._base.description or not sources.Debian.made(image)

    def _add_base(self, progress: Progress) -> Image:
        return self._images.add(BASE, self._base, progress)

    def _foundation(self, progress: Progress) -> foundation.Foundation:
        return foundation.find(self._archive, self._cache) or self._with_scratch(
            lambda scratch: foundation.build(self._archive, self._cache, scratch, progress), progress
        )

    def _agent(self) -> Path:
        if self.agent is not None:
            return self.agent
        spec = importlib.util.find_spec("sandtop.agent")
        if spec is None or spec.origin is None:
            raise ImageError("the package sandtop.agent is not installed", hint="reinstall sandtop")
        return Path(spec.origin).parent

    def _with_scratch(self, build: Callable[[Path], _T], progress: Progress) -> _T:
        """What ``build`` returns, given an empty folder in the cache that is gone afterwards."""
        with self._alone(progress), temporary_folder(self._scratch) as folder:
            return build(folder)

    @contextmanager
    def _alone(self, progress: Progress) -> Generator[None]:
        """One process at a time builds of packages: what apt keeps in the cache is not for several at once."""
        with locked(self._scratch, lambda: progress("another process is building; waiting")):
            yield

    @property
    def _scratch(self) -> Path:
        return self._cache / "scratch"
