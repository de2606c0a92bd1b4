"""All sandboxes of this core."""

from __future__ import annotations

import logging
import shutil
import time
import uuid as uuids
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import (
    AlreadyExists,
    ImageError,
    InvalidRequest,
    MachineError,
    NotFound,
    SandtopError,
    StorageError,
    WrongState,
)
from sandtop.core.fleet.adoption import adopt_all
from sandtop.core.fleet.alerts import AlertWatch
from sandtop.core.fleet.clock import Clock, keep_clocks
from sandtop.core.fleet.disk import grow
from sandtop.core.fleet.guard import Guard
from sandtop.core.fleet.mounts import slots
from sandtop.core.fleet.published import with_numbers
from sandtop.core.fleet.room import MIB, check_new, may_grow, may_take_more, used
from sandtop.core.fleet.sandbox import Sandbox
from sandtop.core.fleet.specs import machine_spec, resolve_image, template_for
from sandtop.core.fleet.state import ALIVE, State
from sandtop.core.fleet.warm_pool import WarmPool, end_leftovers
from sandtop.core.fleet.watch import Watch
from sandtop.core.sessions import retire
from sandtop.core.store import SandboxConfig, SandboxRow
from sandtop.core.templates import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sandtop.core.events import EventLog
    from sandtop.core.fleet.context import Context
    from sandtop.core.screens.screens import Screens
    from sandtop.core.templates import Templates

log = logging.getLogger(__name__)
_RETIRE_EVERY: Final = 5.0
_PREPARING: Final = "preparing-"
"""How the folder of a shape that `Fleet.prepare` makes templates for begins, among those of sandboxes."""
_HOLD_GRACE: Final = 20.0
"""Seconds that a sandbox of ``run`` is kept while no client holds it: its client reconnects after the core died."""


class Fleet:
    """The sandboxes by uuid. ``adopt_all`` comes first; ``maintain`` runs beside everything."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sandboxes: dict[str, Sandbox] = {}
        self._unheld: dict[str, float] = {}
        self._pool = WarmPool(context)
        self.watch = Watch(context, self.all)
        """What host and sandboxes use."""
        self._alerts = AlertWatch(context.settings.alerts, self.all, context.nursery)
        context.everyone = self.all
        self.watch.standing_by = lambda: sum(self.warm_machines.values())
        for row in context.database.sandboxes():
            self._sandboxes[row.uuid] = Sandbox(row, context)
        for session in context.database.sessions():
            self._sandboxes[session.uuid].sessions.load(session)

    @property
    def templates(self) -> Templates:
        return self._context.templates

    @property
    def events(self) -> EventLog:
        return self._context.events

    @property
    def screens(self) -> Screens:
        return self._context.screens

    @property
    def warm_machines(self) -> dict[str, int]:
        """How many machines are in the warm pool, by the digest of their image."""
        return self._pool.ready()

    def all(self) -> list[Sandbox]:
        """Every sandbox that was not removed, oldest first."""
        return [sandbox for sandbox in self._sandboxes.values() if sandbox.row.removed_at is None]

    def get(self, reference: str) -> Sandbox:
        """The sandbox with this name or uuid. Raises `NotFound`."""
        if not reference:
            raise InvalidRequest("which sandbox? Its name is missing", hint="sandtop ls lists them")
        for sandbox in self.all():
            if reference in (sandbox.name, sandbox.row.uuid):
                return sandbox
        raise NotFound(
            f"no sandbox named {reference[:80]}", sandbox=reference[:80], hint="sandtop ls lists them"
        )

    def find(self, uuid: str) -> Sandbox | None:
        """The sandbox with this uuid, removed ones too, as far as anything of them is kept."""
        return self._sandboxes.get(uuid)

    def history(self, reference: str) -> Sandbox:
        """As `get`, and failing that the removed sandbox of that name, the latest, whose history was kept."""
        try:
            return self.get(reference)
        except NotFound:
            for sandbox in reversed(self._sandboxes.values()):
                if reference in (sandbox.name, sandbox.row.uuid):
                    return sandbox
            raise

    def with_history(self) -> list[Sandbox]:
        """Every sandbox, the removed ones of which the history was kept among them."""
        return list(self._sandboxes.values())

    async def create(
        self,
        name: str,
        config: SandboxConfig,
        request_id: str,
        progress: Callable[[str], None],
        *,
        cold: bool = False,
        values: Mapping[str, bytes] | None = None,
    ) -> Sandbox:
        """Make a sandbox and start it; with ``cold`` without a template. ``values`` are those of its secrets, by name.

        A repeat of an earlier request goes on where that one was cut off.
        """
        sandbox = self._of_request(name, request_id)
        if sandbox is None:
            self._check_free(name)
            await self._check_room(name, config, progress)
            config = with_numbers(config)
            digest = await resolve_image(self._context, config.image, progress)
            warm = None if cold or slots(config) else await self._pool.take(config, digest)
            row = SandboxRow(
                uuid=warm.row.uuid if warm else str(uuids.uuid4()), name=name, config=config,
                state=State.CREATING.value, reason="", created_at=time.time(), request_id=request_id,
                image_digest=digest,
            )  # fmt: skip
            sandbox = await self._add(row, warm)
        sandbox.egress.keys.vault.give(values or {})
        if sandbox.state in (State.RUNNING, State.PAUSED):
            return sandbox
        try:
            await sandbox.start(progress, created=sandbox.state is State.CREATING, cold=cold)
        except SandtopError:
            # a sandbox that never ran holds nothing that anybody could want back
            await self.remove(sandbox, force=True, keep_history=False)
            raise
        if sandbox.machine is not None and sandbox.machine.spec.restored and not slots(config):
            self._pool.used(sandbox.row)
        return sandbox

    async def prepare(self, config: SandboxConfig, progress: Callable[[str], None]) -> None:
        """Make the templates from which sandboxes of this shape start, where they are not there.

        Raises `ImageError` when there can be none, and what is wrong with the shape.
        """
        driver = self._context.driver.info
        if not driver.snapshots:
            raise ImageError(f"{config.image} cannot be prepared: {driver.name} cannot save a machine")
        digest = await resolve_image(self._context, config.image, progress)
        row = SandboxRow(
            uuid=str(uuids.uuid4()), name="a template", config=config, state=State.CREATING.value, reason="",
            created_at=time.time(), image_digest=digest,
        )  # fmt: skip
        reasons: list[str] = []

        def tell(line: str) -> None:
            (reasons.append if line.startswith("warning: ") else progress)(line)

        with TemporaryDirectory(dir=self._context.paths.sandboxes, prefix=_PREPARING) as folder:
            spec = await machine_spec(self._context, row, Path(folder) / "overlay.img", tell)
            for kind in Kind:
                template = await template_for(self._context, row, spec, kind, tell)
                if template is None:
                    why = reasons[-1].rpartition("instead: ")[2] if reasons else "it failed a moment ago"
                    raise ImageError(f"{config.image} cannot be prepared: {why}", hint="see the core's log")
                template.close()

    async def _add(self, row: SandboxRow, warm: Sandbox | None) -> Sandbox:
        """Store a new sandbox; the warm machine for it is ended when that cannot be."""
        try:
            self._check_free(row.name)
            self._context.database.add_sandbox(row)
        except SandtopError:
            if warm is not None:
                await warm.discard()
            raise
        sandbox = self._sandboxes[row.uuid] = warm or Sandbox(row, self._context)
        if warm is not None:
            warm.become(row)
            self._pool.given_away(warm)
        sandbox.tell("created", f"of {row.config.image}")
        return sandbox

    def _of_request(self, name: str, request_id: str) -> Sandbox | None:
        for sandbox in self.all():
            if request_id and sandbox.row.request_id == request_id and sandbox.name == name:
                return sandbox
        return None

    def check_free(self, name: str, request_id: str) -> None:
        """Raises `AlreadyExists` for a name that another request's sandbox has."""
        if self._of_request(name, request_id) is None:
            self._check_free(name)

    def _check_free(self, name: str) -> None:
        if any(sandbox.name == name for sandbox in self.all()):
            raise AlreadyExists(
                f"there is a sandbox named {name} already",
                sandbox=name,
                hint=f"choose another name, or remove it: sandtop rm {name}",
            )

    async def _check_room(self, name: str, config: SandboxConfig, progress: Callable[[str], None]) -> None:
        """Raises `StorageError` when the disk has no room for one more; says so when all together may take too much."""
        room = await trio.to_thread.run_sync(self._context.look_at_room)
        if room is None:
            return
        grows = await self._may_grow()
        word = check_new(room, grows, config.disk * MIB, name)
        if word is not None and not config.ephemeral:
            progress(f"warning: {word}")

    async def grow_disk(self, sandbox: Sandbox, disk: int, progress: Callable[[str], None]) -> None:
        """Give a sandbox a disk of so many MiB; says so when all disks together may take more than there is."""
        room = await trio.to_thread.run_sync(self._context.look_at_room)
        grows = await self._may_grow()
        more = (disk - sandbox.row.config.disk) * MIB
        word = may_take_more(room, grows, more) if room is not None and more > 0 else None
        await grow(sandbox, disk)
        if word is not None:
            progress(f"warning: {word}")

    async def look_at_disks(self, *sandboxes: Sandbox) -> None:
        """See what the disks of ``sandboxes`` take on the host."""
        overlays = {sandbox.row.uuid: sandbox.overlay for sandbox in sandboxes}
        sizes = await trio.to_thread.run_sync(used, overlays)
        for uuid, size in sizes.items():
            if (sandbox := self._sandboxes.get(uuid)) is not None:
                sandbox.disk_used = size

    async def _may_grow(self) -> int:
        """The bytes that the disks of all sandboxes and all volumes can take beyond what they take now."""
        overlays = [sandbox.overlay for sandbox in self.all()]
        volumes = self._context.guest.volumes
        return await trio.to_thread.run_sync(
            lambda: may_grow([*overlays, *(volume.disk for volume in volumes.all())])
        )

    async def remove(self, sandbox: Sandbox, *, force: bool, keep_history: bool) -> None:
        """Remove a sandbox; see `Sandbox.remove`."""
        await sandbox.remove(force=force, keep_history=keep_history)
        if not keep_history:
            sandbox.sessions.drop()
            self._sandboxes.pop(sandbox.row.uuid, None)

    def first_request(self, request_id: str) -> bool:
        """Whether this request was never seen before, by an earlier core either; it is remembered."""
        try:
            return self._context.database.first_request(request_id, time.time())
        except StorageError as error:
            log.warning("a request is not remembered: %s", error)
            return True

    def images_in_use(self) -> dict[str, str]:
        """Digest to the name of a sandbox that was made of it."""
        return {sandbox.row.image_digest: sandbox.name for sandbox in self.all()}

    async def forget_images(self, keep: Collection[str]) -> None:
        """Free what was made ready from images other than those with the digests ``keep``. Raises `StorageError`."""
        self._pool.forget_images(keep)
        await self._context.templates.remove_images(keep)

    # after the core's start

    async def adopt_all(self) -> None:
        """Find every machine again that an earlier core ran, and end those that nobody owns; see `adopt_all`."""
        self._alerts.begin(time.time())
        await trio.to_thread.run_sync(self._end_orphans)
        await trio.to_thread.run_sync(
            end_leftovers, self._context.paths, self._context.driver, set(self._sandboxes)
        )
        await self._context.templates.recover()
        await adopt_all(self.all(), self._context)

    def _end_orphans(self) -> None:
        """Kill machines of this core's sandboxes that no sandbox owns: launched just before the core died.

        And remove the folders of what an earlier core was preparing.
        """
        owned = {
            sandbox.row.ownership.pid
            for sandbox in self.all()
            if sandbox.row.ownership and sandbox.state in ALIVE
        }
        for ended in self._context.driver.end_all(
            lambda machine: machine.pid not in owned and machine.uuid in self._sandboxes
        ):
            log.warning("killed an orphaned machine, pid %d", ended.pid)
        for folder in self._context.paths.sandboxes.glob(f"{_PREPARING}*"):
            shutil.rmtree(folder, ignore_errors=True)
        self._context.guest.volumes.sweep()

    # beside everything

    def hold(self, sandbox: Sandbox) -> None:
        """A client holds a sandbox that should not outlive it."""
        sandbox.holders += 1

    async def let_go(self, sandbox: Sandbox) -> None:
        """The client is gone: with the last one, a sandbox made by ``run`` goes too."""
        sandbox.holders -= 1
        if sandbox.holders == 0 and sandbox.row.config.ephemeral and sandbox.row.uuid in self._sandboxes:
            with suppress(WrongState, MachineError):
                await self.remove(sandbox, force=True, keep_history=False)

    async def maintain(self) -> None:
        """Keep retention and the warm pool, store what a full disk refused, end what nobody holds any more."""
        self._context.nursery.start_soon(self._pool.run)
        self._context.nursery.start_soon(Guard(self._context, self.all).run)
        self._context.nursery.start_soon(self._alerts.run)
        self._context.nursery.start_soon(self.watch.run)
        self._context.nursery.start_soon(keep_clocks, self._clocks, self._context.nursery)
        said: dict[str, str] = {}  # a disk that stays broken is not written about for ever
        while True:
            await trio.sleep(_RETIRE_EVERY)
            before, said = said, {}
            for sandbox in self.with_history():
                try:
                    await self._tend(sandbox, trio.current_time())
                except SandtopError as error:
                    said[sandbox.row.uuid] = error.message
                    if before.get(sandbox.row.uuid) != error.message:
                        log.warning("%s: %s", sandbox.name, error)

    def _clocks(self) -> list[Clock]:
        """Those of machines that run."""
        return [
            sandbox.machine.clock
            for sandbox in self.all()
            if sandbox.machine is not None and sandbox.state is State.RUNNING and sandbox.stands_still is None
        ]

    async def close(self) -> None:
        """End the machines that nobody has a use for any more when this core is gone."""
        await self._pool.close()

    async def _tend(self, sandbox: Sandbox, now: float) -> None:
        sandbox.record.save()
        sandbox.sessions.kill_abandoned(now)
        await retire(sandbox.sessions, self._context.settings)
        preparing = sandbox.state in (State.CREATING, State.STARTING)
        if not sandbox.row.config.ephemeral or sandbox.holders or preparing:
            self._unheld.pop(sandbox.row.uuid, None)
        elif now - self._unheld.setdefault(sandbox.row.uuid, now) > _HOLD_GRACE:
            sandbox.holders += 1
            await self.let_go(sandbox)
