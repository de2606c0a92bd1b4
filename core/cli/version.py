"""``sandtop version``: of sandtop, and of what it runs on."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import trio

from sandtop import __version__
from sandtop.core import paths
from sandtop.core.client.link import call_running
from sandtop.core.contract.core import Status
from sandtop.core.errors import SandtopError
from sandtop.core.guest import archive, kernel
from sandtop.core.machine.registry import driver_for
from sandtop.core.place import here

from ._args import Parser
from ._output import write, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.machine import Driver


def version_main(argv: Sequence[str]) -> int:
    """Print the versions."""
    parser = Parser(
        "version",
        "[--json]",
        "Print the version of sandtop; as JSON also those of what it runs on, null for what is not there.",
        "  sandtop version\n  sandtop version --json",
    )
    parser.json()
    if parser.parse_args(list(argv)).json:
        write_json(versions())
    else:
        write(f"sandtop {__version__}\n")
    return 0


def versions() -> dict[str, str | None]:
    """The versions by what they are of: part of the stable surface of ``version --json``."""
    from sandtop.core.doctor import release_of

    found = paths.find()
    release, driver = release_of(found), driver_for(found)
    guest = kernel.find(archive.at(found.cache, release), found.cache)
    return {
        "sandtop": __version__,
        "core": _core(),
        "python": platform.python_version(),
        driver.info.name: _program(driver),
        "host": here().name,
        "host_kernel": os.uname().release,
        "guest_release": release,
        "guest_kernel": guest.version if guest else None,
    }


def _core() -> str | None:
    """The version of the core that runs, which may be another than this one."""
    try:
        status = call_running(Status())
    except SandtopError:
        return None
    return None if status is None else status.version


def _program(driver: Driver) -> str | None:
    """The version of what runs machines here."""
    try:
        return trio.run(driver.find).version
    except SandtopError:
        return None
