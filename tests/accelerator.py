"""What runs the machines that tests start by themselves: the same as sandboxes'."""

from __future__ import annotations

from functools import cache, partial

import trio
from tests.settings import accelerator

from sandtop.core import paths
from sandtop.core.guest import GuestStore
from sandtop.core.machine import Accelerator
from sandtop.core.machine.registry import driver_for
from sandtop.core.templates import trial_of


@cache
def chosen() -> Accelerator:
    """KVM where a guest really runs under it, else TCG, by the driver's own choice, unless this run's settings ask for
    one. Not for use in an event loop."""
    here = paths.find()
    paths.ensure_private(here.runtime)
    store = GuestStore(here)
    store.prepare()
    trial = trial_of(store.boot_files(store.image("base").digest), here.runtime)
    asked = accelerator()
    wanted = None if asked == "auto" else Accelerator(asked)
    choose = partial(driver_for(here).choose_accelerator, trial, _quietly, wanted=wanted)
    return trio.run(choose).accelerator


def _quietly(_line: str) -> None:
    pass
