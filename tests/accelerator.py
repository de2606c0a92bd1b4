"""What runs the machines that tests start by themselves: the same as sandboxes'."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import trio

from sandtop.core import paths
from sandtop.core.guest import GuestStore
from sandtop.core.machine.registry import driver_for
from sandtop.core.templates import trial_of

if TYPE_CHECKING:
    from sandtop.core.machine import Accelerator


@cache
def chosen() -> Accelerator:
    """KVM where a guest really runs under it, else TCG, by the driver's own choice. Not for use in an event loop."""
    here = paths.find()
    paths.ensure_private(here.runtime)
    store = GuestStore(here)
    store.prepare()
    trial = trial_of(store.boot_files(store.image("base").digest), here.runtime)
    choose = partial(driver_for(here).choose_accelerator, trial, _quietly)
    return trio.run(choose).accelerator


def _quietly(_line: str) -> None:
    pass
