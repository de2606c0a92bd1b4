"""After a core that was killed while it built a template: its machine, its sockets, its half of a folder."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from typing import TYPE_CHECKING

from sandtop.core.errors import SandtopError, from_os_error
from sandtop.core.guest.store import remove_unfinished
from sandtop.core.templates.build import BUILDER

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.machine import Driver
    from sandtop.core.paths import Paths

log = logging.getLogger(__name__)


def recover(root: Path, paths: Paths, driver: Driver) -> None:
    """Clean ``root``, the folder of the templates; nothing is done while a process that lives builds there.

    Blocks. Raises `StorageError`.
    """
    if not root.exists():
        return
    try:
        descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise from_os_error(error, f"cannot use {root}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _end_builders(root, paths, driver)
        remove_unfinished(root)
    except BlockingIOError:
        return
    except SandtopError as error:
        log.warning("after an earlier core: %s", error)
    finally:
        os.close(descriptor)


def _end_builders(root: Path, paths: Paths, driver: Driver) -> None:
    marks = {mark.name.removeprefix(BUILDER): mark for mark in root.glob(f"{BUILDER}*")}
    for ended in driver.end_all(lambda machine: machine.uuid in marks):
        log.warning("killed the machine of an unfinished template, pid %d", ended.pid)
    for uuid, mark in marks.items():
        shutil.rmtree(paths.machine_runtime(uuid), ignore_errors=True)
        mark.unlink(missing_ok=True)
