"""After a core that was killed while it built a template: its machine, its sockets, its half of a folder."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from sandtop.core.errors import SandtopError, from_os_error
from sandtop.core.guest.store import remove_unfinished
from sandtop.core.machine import machines
from sandtop.core.templates.build import BUILDER

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.paths import Paths

log = logging.getLogger(__name__)


def recover(root: Path, paths: Paths) -> None:
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
        _end_builders(root, paths)
        remove_unfinished(root)
    except BlockingIOError:
        return
    except SandtopError as error:
        log.warning("after an earlier core: %s", error)
    finally:
        os.close(descriptor)


def _end_builders(root: Path, paths: Paths) -> None:
    marks = {mark.name.removeprefix(BUILDER): mark for mark in root.glob(f"{BUILDER}*")}
    for pid, uuid in machines():
        if uuid in marks:
            log.warning("killing the machine of an unfinished template, pid %d", pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for uuid, mark in marks.items():
        shutil.rmtree(paths.machine_runtime(uuid), ignore_errors=True)
        mark.unlink(missing_ok=True)
