"""The templates of one core: found, built when they are not there, thrown away when they are not whole."""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import SandtopError
from sandtop.core.guest.store import Shelf, disk_use, read_json
from sandtop.core.templates.build import Order, make
from sandtop.core.templates.files import FACTS, Damaged, Loaded
from sandtop.core.templates.key import key_of, origin_of
from sandtop.core.templates.recovery import recover
from sandtop.core.templates.template import Template

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from sandtop.core.machine import Driver, MachineSpec
    from sandtop.core.paths import Paths
    from sandtop.core.templates.key import Shape

log = logging.getLogger(__name__)

KEPT: Final = 8
"""Templates on disk, of some 150 MB each at the default shape: the ones used last stay."""
UNUSED: Final = 30 * 86_400.0
"""Seconds after its last use for which a template is kept."""
OUTDATED: Final = 3600.0
"""Seconds after its last use for which a template of another kernel, runtime or driver's program is kept: another
installation, which shares this cache, may use it."""
IN_MEMORY: Final = 4
"""Templates in memory. A machine's own share of one stays for as long as it runs, whether or not it is counted here."""
_REMEMBERED: Final = 64
_PAUSE: Final = 300.0
"""Seconds in which a template that could not be built is not tried again: sandboxes boot meanwhile."""
_MOST_FAILURES: Final = 2
"""Once so many templates of one key did not start, this core makes no other: what is wrong is not in their files."""


@dataclass(frozen=True, slots=True)
class TemplateInfo:
    """A template on disk, for a list.

    Attributes:
        size: what it takes there, in bytes.
        used_at: when it was read last, seconds since the epoch.
        outdated: it is of another kernel, runtime or program of the driver than this core's, as far as the core has had
            to find out.
    """

    key: str
    kind: str
    image_digest: str
    size: int
    used_at: float
    outdated: bool


@dataclass(slots=True)
class _Entry:
    """What this core knows of one key. ``not_before``: when to try again to build it (trio's clock)."""

    lock: trio.Lock = field(default_factory=trio.Lock)
    loaded: Loaded | None = None
    not_before: float = 0.0
    failures: int = 0
    rebuilding: bool = False


class Templates:
    """See the package. ``nursery`` owns what is rebuilt in the background; ``boot_seconds`` bounds a boot."""

    def __init__(self, paths: Paths, driver: Driver, nursery: trio.Nursery, boot_seconds: float) -> None:
        self._paths = paths
        self._driver = driver
        self._nursery = nursery
        self._boot_seconds = boot_seconds
        self._shelf = Shelf(paths.cache / "templates", "template", keep=KEPT)
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._origin = ""

    def close(self) -> None:
        """Give back the memory of those that were read; what runs from them is not touched."""
        for entry in self._entries.values():
            self._unload(entry)

    async def recover(self) -> None:
        """End and remove what a core that was killed while it built a template left behind."""
        await trio.to_thread.run_sync(recover, self._shelf.root, self._paths, self._driver)

    async def get(self, shape: Shape, spec: MachineSpec, progress: Callable[[str], None]) -> Template | None:
        """The template for this shape, built when there is none; None when there can be none now, as is told.

        There is none where the driver makes no snapshots. Never raises for a template's own sake: a sandbox can always
        boot. Raises `MissingDependency`.
        """
        if not self._driver.info.snapshots:
            return None
        version = await self._driver.find()
        key = await trio.to_thread.run_sync(key_of, shape, spec, self._driver, version)
        paths, root = self._paths, self._shelf.root
        order = Order(paths, root, self._driver, self._boot_seconds, key, version, shape, spec)
        if not self._origin:
            self._origin = await trio.to_thread.run_sync(origin_of, shape, spec, version)
            self._nursery.start_soon(self._clear_out)
        entry = self._entry(key)
        if entry.rebuilding:
            return None
        async with entry.lock:
            if entry.loaded is not None and not entry.loaded.unchanged():
                self._unload(entry)
            if entry.loaded is None:
                if trio.current_time() < entry.not_before:
                    return None
                entry.loaded = await self._obtain(entry, order, progress)
                self._bound()
            return Template(key, shape.kind, entry.loaded) if entry.loaded is not None else None

    async def _clear_out(self) -> None:
        """Remove templates that were not used for long, sooner when nothing here can ever use them again."""
        try:
            for found in await trio.to_thread.run_sync(self.on_disk):
                if time.time() - found.used_at > (OUTDATED if found.outdated else UNUSED):
                    log.info("removing a template that is %s", "outdated" if found.outdated else "not used")
                    entry = self._entry(found.key)
                    async with entry.lock:
                        await self._discard(entry, found.key)
        except SandtopError as error:
            log.warning("old templates stay: %s", error)

    async def failed(self, template: Template, why: str, progress: Callable[[str], None]) -> None:
        """A machine did not start from this template: it is not used again."""
        entry = self._entry(template.key)
        entry.failures += 1
        if entry.failures >= _MOST_FAILURES:
            entry.not_before = float("inf")
        progress(f"warning: a template did not start and is thrown away, booting instead: {why}")
        async with entry.lock:
            try:
                await self._discard(entry, template.key)
            except SandtopError as error:  # it must not be used again; that it is still there fails no start
                entry.not_before = float("inf")
                log.warning("a template that did not start cannot be removed: %s", error)

    def on_disk(self) -> list[TemplateInfo]:
        """All templates on disk. Blocks."""
        found: list[TemplateInfo] = []
        for folder in self._folders():
            facts = read_json(folder / FACTS)
            image, kind = str(facts.get("image", "")), str(facts.get("kind", ""))
            outdated = bool(self._origin) and facts.get("origin") != self._origin
            try:
                used_at = folder.stat().st_mtime
            except FileNotFoundError:  # removed meanwhile
                continue
            found.append(TemplateInfo(folder.name, kind, image, disk_use(folder), used_at, outdated))
        return found

    async def remove_images(self, keep: Collection[str]) -> None:
        """Remove the templates of all images but those with the digests ``keep``. Raises `StorageError`."""
        for found in await trio.to_thread.run_sync(self.on_disk):
            if found.image_digest not in keep:
                entry = self._entry(found.key)
                async with entry.lock:
                    await self._discard(entry, found.key)

    # inside

    def _entry(self, key: str) -> _Entry:
        entry = self._entries.setdefault(key, _Entry())
        self._entries.move_to_end(key)
        return entry

    def _bound(self) -> None:
        loaded = [entry for entry in self._entries.values() if entry.loaded is not None]
        for entry in loaded[:-IN_MEMORY]:
            self._unload(entry)
        for key in list(self._entries)[:-_REMEMBERED]:
            if self._entries[key].loaded is None and not self._entries[key].lock.locked():
                del self._entries[key]

    def _unload(self, entry: _Entry) -> None:
        if entry.loaded is not None:
            entry.loaded.close()
            entry.loaded = None

    async def _obtain(self, entry: _Entry, order: Order, progress: Callable[[str], None]) -> Loaded | None:
        try:
            loaded = await self._load(order.key)
            if loaded is not None:
                return loaded
            kind = order.shape.kind.value
            progress(f"preparing a template for sandboxes of this shape ({kind}); later ones start at once")
            await self._build(order, progress)
            return await self._load(order.key)
        except Damaged as error:
            progress(f"warning: a template is damaged ({error}) and is made again, booting instead")
            entry.rebuilding = True
            self._nursery.start_soon(self._rebuild, entry, order)
        except SandtopError as error:
            entry.not_before = trio.current_time() + _PAUSE
            progress(f"warning: no template can be made, booting instead: {error.message}")
        return None

    async def _load(self, key: str) -> Loaded | None:
        return await trio.to_thread.run_sync(self._read, key)

    def _read(self, key: str) -> Loaded | None:
        """The template, or None when there is none. Raises `Damaged`, `StorageError`."""
        folder = self._shelf.root / key
        if not folder.exists():
            return None
        if self._shelf.find(key) is None:
            raise Damaged("a file is missing or truncated")
        loaded = Loaded.read(folder)
        os.utime(folder)  # the ones used last stay
        return loaded

    async def _build(self, order: Order, progress: Callable[[str], None]) -> None:
        def tell(line: str) -> None:
            trio.from_thread.run_sync(progress, line)

        await trio.to_thread.run_sync(self._shelf.build, order.key, partial(make, order, progress), tell)

    async def _rebuild(self, entry: _Entry, order: Order) -> None:
        try:
            async with entry.lock:
                await self._discard(entry, order.key)
                await self._build(order, log.info)
        except SandtopError as error:
            entry.not_before = trio.current_time() + _PAUSE
            log.warning("a template cannot be made again: %s", error)
        finally:
            entry.rebuilding = False

    async def _discard(self, entry: _Entry, key: str) -> None:
        self._unload(entry)
        await trio.to_thread.run_sync(self._shelf.remove, key)

    def _folders(self) -> list[Path]:
        if not self._shelf.root.exists():
            return []
        return [
            path for path in self._shelf.root.iterdir() if (path / FACTS).exists() and path.name[0] != "."
        ]
