"""A host of machines in memory with one home on it, and cores that come, go and die there."""

from __future__ import annotations

import shutil
import struct
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from sandtop.core.fleet import Context, Fleet, State
from sandtop.core.groups import unwrapped
from sandtop.core.guest import BootFiles, GuestStore
from sandtop.core.guest.image import ImageStore
from sandtop.core.guest.overlay import copy_sparse, create
from sandtop.core.machine.memory import MemoryDriver, World
from sandtop.core.paths import Paths
from sandtop.core.screens.screens import Screens
from sandtop.core.settings import Settings
from sandtop.core.store import Database, SandboxConfig
from sandtop.core.templates import Templates

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from sandtop.core.fleet import Sandbox
    from sandtop.core.guest import Progress

DISK = 32
CONFIG = SandboxConfig(memory=16, disk=DISK)
SETTINGS = Settings(warm_machines=0, disk_reserve_bytes=0)
_SQUASHFS = struct.pack("<4s36xQ", b"hsqs", 48)
"""The beginning of an image, as far as the host looks at it (`ImageStore.check`)."""


def quiet(_line: str) -> None:
    """A progress that nobody hears."""


class Shelves(GuestStore):
    """What guests boot from, without a guest: images and disks are the real ones, kernel and runtime are names."""

    def boot_files(self, image_digest: str, progress: Progress = quiet) -> BootFiles:
        boot = self.paths.cache / "boot"
        return BootFiles(boot / "kernel", boot / "runtime", self.image_path(image_digest))

    def prepare(self, progress: Progress = quiet) -> None:
        progress("preparing")
        add_image(self.paths.cache, "base")


def add_image(cache: Path, name: str) -> str:
    """Make an image; its digest."""
    content = _SQUASHFS + name.encode()
    return ImageStore(cache / "images").add(name, Written(content), quiet).digest


@dataclass(frozen=True)
class Written:
    """The source of an image that is these bytes."""

    content: bytes
    description: str = "a test"

    def write(self, out: Path, scratch: Path, progress: Progress) -> None:
        out.write_bytes(self.content)


def build_cache(cache: Path) -> None:
    """What all homes of a run share: what guests boot from, and a blank disk."""
    (cache / "boot").mkdir(parents=True)
    for name in ("kernel", "runtime"):
        (cache / "boot" / name).touch()
    add_image(cache, "base")
    create(cache, cache / "disk", DISK << 20, quiet)
    (cache / "disk").unlink()


@dataclass
class Core:
    """One core, while it lives."""

    lab: Lab
    fleet: Fleet
    context: Context
    driver: MemoryDriver
    nursery: trio.Nursery
    lines: list[str] = field(default_factory=list[str])
    """What it said of its progress."""

    async def create(
        self, name: str = "box", config: SandboxConfig = CONFIG, *, request: str = "", cold: bool = True
    ) -> Sandbox:
        """Create a sandbox; without a template unless told otherwise."""
        return await self.fleet.create(name, config, request, self.lines.append, cold=cold)

    def state(self, name: str) -> State:
        """What the sandbox ``name`` is doing now."""
        return self.fleet.get(name).state

    async def settle(self) -> None:
        """Return when whatever just happened has had its consequences."""
        await trio.sleep(1)

    async def start(self, sandbox: Sandbox, *, cold: bool = True) -> None:
        await sandbox.start(self.lines.append, cold=cold)


class Lab:
    """A host with a home on it. ``nursery`` outlives every core."""

    def __init__(self, home: Path, cache: Path, nursery: trio.Nursery, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.world = World(nursery)
        self.paths = _paths(home)
        for folder in (self.paths.cache, self.paths.sandboxes, self.paths.logs, self.paths.runtime):
            folder.mkdir(parents=True)
        for part in ("boot", "images", "blanks"):
            (self.paths.cache / part).symlink_to(cache / part)
        self.deaths = 0

    @asynccontextmanager
    async def core(self, *, maintained: bool = False) -> AsyncGenerator[Core]:
        """A core that has adopted what there is. With the block it ends, and the machines go on."""
        core: Core | None = None
        try:
            with Database(self.paths.database) as database, ExitStack() as until_all_ended, unwrapped():
                async with trio.open_nursery() as nursery:
                    core = self._core(database, nursery)
                    until_all_ended.enter_context(core.context)
                    await core.fleet.adopt_all()
                    if maintained:
                        nursery.start_soon(core.fleet.maintain)
                    yield core
                    nursery.cancel_scope.cancel()
        except Exception:
            if core is None or not core.driver.cut_off:  # of a dead one nobody hears what its clean-up met
                raise

    def _core(self, database: Database, nursery: trio.Nursery) -> Core:
        driver = MemoryDriver(self.world)
        guest = Shelves(self.paths)
        templates = Templates(self.paths, driver, nursery, self.settings.boot_seconds)
        screens = Screens(nursery)
        context = Context(self.paths, database, self.settings, nursery, driver, guest, templates, screens)
        return Core(self, Fleet(context), context, driver, nursery)

    def kill(self, core: Core) -> None:
        """What is there now is all that a next core finds: nothing that this one still does has an effect.

        Its tasks are cancelled, which runs their clean-up as no kill does; so its driver is cut off, and the home is
        another from here on, as it was at this moment.
        """
        core.driver.cut_off = True
        self.deaths += 1
        before, self.paths = self.paths, _paths(self.paths.data.parent.with_name(f"home-{self.deaths}"))
        _copy(before, self.paths)
        for guest in self.world.machines.values():
            if guest.console.is_relative_to(before.data):
                guest.console = self.paths.data / guest.console.relative_to(before.data)
        core.nursery.cancel_scope.cancel()


def _paths(home: Path) -> Paths:
    return Paths(home / "data", home / "cache", home / "config", home / "run")


def _copy(before: Paths, after: Paths) -> None:
    """The home as it is: what SQLite has in memory of its write-ahead log dies with the core."""
    source, target = before.data.parent, after.data.parent
    shared = shutil.ignore_patterns("*.db-shm")
    shutil.copytree(source, target, symlinks=True, copy_function=_copy_file, ignore=shared)


def _copy_file(source: str, target: str) -> None:
    with suppress(FileNotFoundError), open(source, "rb") as old:  # a thread may be removing it at this moment
        with open(target, "wb") as new:
            copy_sparse(old.fileno(), new.fileno())
        shutil.copystat(source, target)
