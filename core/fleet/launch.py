"""How a sandbox gets its machine: one of the warm pool, one that goes on from a template, or one that boots."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import MachineError, SandtopError, StorageError
from sandtop.core.fleet.disk import grow_in_guest, lengthen_file
from sandtop.core.fleet.machine import new_token
from sandtop.core.fleet.specs import blank_overlay, machine_spec, template_for
from sandtop.core.fleet.supervision import supervise
from sandtop.core.machine import WITHOUT_KVM, Accelerator
from sandtop.core.templates import Kind
from sandtop.core.templates.files import forget

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.core.fleet.context import Context
    from sandtop.core.fleet.machine import RunningMachine
    from sandtop.core.fleet.supervision import Owner
    from sandtop.core.machine import MachineSpec
    from sandtop.core.templates import Template

log = logging.getLogger(__name__)
_RESTORED_SECONDS: Final = 30.0
"""How long a machine that goes on from a template may take until its agent answers: 0.1 s on a host with time."""


class Launch:
    """One start of the machine of ``sandbox``. Raises what went wrong; no machine is left then.

    Attributes:
        times: when each stage was reached (trio's clock), in their order.
    """

    def __init__(
        self, sandbox: Owner, context: Context, progress: Callable[[str], None], *, accelerator: str = ""
    ) -> None:
        """``accelerator``: the one for this start, before what the sandbox wants."""
        self._sandbox = sandbox
        self._accelerator = accelerator
        self._context = context
        self._progress = progress
        self._begun = trio.current_time()
        self.times: dict[str, float] = {}

    @property
    def timings(self) -> dict[str, float]:
        """Seconds from the beginning to each stage."""
        return {name: round(at - self._begun, 3) for name, at in self.times.items()}

    async def run(self, *, cold: bool) -> None:
        """Return when its agent is ready. It goes on from a template, or boots: with ``cold``, and without one."""
        machine = self._sandbox.machine
        if machine is None or not await self._take_over(machine):
            await self._bring_up_anew(cold=cold)
        for warning in self._sandbox.sessions.warnings:
            self._progress(f"warning: {self._sandbox.name}: {warning}")

    async def warm_up(self) -> None:
        """Start a machine for the warm pool, which is nobody's yet: from a template; warmed up, and paused."""
        sandbox = self._sandbox
        spec = await machine_spec(self._context, sandbox.row, sandbox.overlay, self._progress)
        template = await template_for(self._context, sandbox.row, spec, Kind.FRESH, self._progress)
        if template is None:
            raise MachineError("there is no template to go on from")
        with template:
            async with self._context.starting:
                why = await self._go_on(spec, template)
                if why:
                    await self._context.templates.failed(template, why, self._progress)
                if why or sandbox.machine is None:
                    raise MachineError("the template did not start")
                await sandbox.machine.warm_up()

    async def _take_over(self, machine: RunningMachine) -> bool:
        """Let a machine of the warm pool go on as this sandbox. When it does not, nothing of it is left: False."""
        try:
            await machine.vm.resume()
            self.times["resumed"] = trio.current_time()
            await machine.boot(_RESTORED_SECONDS, self.times)
            await self._mount(machine)
        except (MachineError, StorageError) as error:
            log.warning("%s: the machine of the warm pool is of no use: %s", self._sandbox.name, error)
            await machine.end()
            await trio.to_thread.run_sync(forget, self._sandbox.overlay)
            return False
        return True

    async def _bring_up_anew(self, *, cold: bool) -> None:
        sandbox, context = self._sandbox, self._context
        spec = await machine_spec(
            context, sandbox.row, sandbox.overlay, self._progress, accelerator=self._accelerator
        )
        if sandbox.row.config.grown:
            await trio.to_thread.run_sync(lengthen_file, sandbox.overlay, sandbox.row.config.disk)
        kind = Kind.LATER if sandbox.overlay.exists() else Kind.FRESH
        template = None if cold else await template_for(context, sandbox.row, spec, kind, self._progress)
        self.times["prepared"] = trio.current_time()
        with template or nullcontext():
            async with context.starting:
                self.times["turn"] = trio.current_time()
                why = "" if template is None else await self._go_on(spec, template)
                if template is None or why:
                    try:
                        await self._boot(spec)
                    except MachineError as error:
                        if spec.accelerator is not Accelerator.KVM:
                            raise
                        wanted = self._accelerator or sandbox.row.config.accelerator
                        raise under_kvm(error, sandbox.name, wanted=bool(wanted)) from error
                if template is not None and why:
                    # only now: what does not boot either is not the template's fault, but its disk's or its image's
                    await context.templates.failed(template, why, self._progress)

    async def _go_on(self, spec: MachineSpec, template: Template) -> str:
        """Start from a template. Why that did not work, with nothing of it left, or the empty string."""
        overlay = self._sandbox.overlay
        if template.kind is Kind.FRESH:
            await template.fill_overlay(overlay)
            self.times["disk"] = trio.current_time()
        seconds: float = self._context.settings.boot_seconds
        if template.kind is Kind.FRESH:  # else it mounts a disk first that may need repair
            seconds = min(_RESTORED_SECONDS, seconds)
        try:
            await self._bring_up(template.restored(spec), seconds)
        except MachineError as error:
            if template.kind is Kind.FRESH:
                await trio.to_thread.run_sync(forget, overlay)
            return error.message or "the machine did not start"
        return ""

    async def _boot(self, spec: MachineSpec) -> None:
        overlay = self._sandbox.overlay
        if not overlay.exists():
            await blank_overlay(self._context, self._sandbox.row, overlay, self._progress)
        await self._bring_up(spec, self._context.settings.boot_seconds)

    async def _bring_up(self, spec: MachineSpec, seconds: float) -> None:
        """Launch the machine and wait for its agent. Raises what went wrong; the machine is gone then."""
        sandbox = self._sandbox
        driver = self._context.driver
        opener = driver.start(spec, runtime=sandbox.runtime, console_log=sandbox.console)
        boot_seconds = None if spec.restored else self._context.settings.boot_seconds
        machine = await supervise(
            sandbox, self._context, spec, opener, token=new_token(), boot_seconds=boot_seconds
        )
        self.times[driver.info.name] = trio.current_time()
        try:
            await machine.boot(seconds, self.times)
            await self._mount(machine)
        except SandtopError:
            await machine.end()
            raise

    async def _grow(self, machine: RunningMachine) -> None:
        """Grow the disk where that is due; a sandbox whose disk stays as it was starts all the same."""
        try:
            await machine.or_death(lambda: grow_in_guest(self._sandbox))
            self.times["grown"] = trio.current_time()
        except StorageError as error:
            if machine.stall is not None:
                raise
            self._progress(f"warning: {error.message}")

    async def _mount(self, machine: RunningMachine) -> None:
        config = self._sandbox.row.config
        if config.grown:
            await self._grow(machine)
        if config.mounts:
            await machine.mount(self._context)
            self.times["mounted"] = trio.current_time()


def under_kvm(error: MachineError, name: str, *, wanted: bool) -> MachineError:
    """``error`` of a start that failed under KVM, with the way to go on without it."""
    known = "KVM was asked for" if wanted else "KVM worked when this host was probed"
    lead = f"{error.hint}; " if error.hint else ""
    return MachineError(f"{error.message} (under KVM)", sandbox=name, hint=f"{lead}{known}; {WITHOUT_KVM}")
