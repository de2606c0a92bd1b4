"""``sandtop uninstall``: take away all that sandtop keeps on this machine. The program itself goes as it came."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sandtop.core import paths
from sandtop.core.cli import say
from sandtop.core.client.link import stop_core
from sandtop.core.errors import InvalidRequest, from_os_error

from ._args import Parser
from ._output import size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_EXAMPLES: Final = """\
  sandtop uninstall          # says what goes, and asks
  sandtop uninstall --yes"""
# Below a SANDTOP_HOME that is somebody's home directory there may be other things in folders of these names.
DATA: Final = (
    "sandtop.db", "sandtop.db-wal", "sandtop.db-shm", "sandboxes", "volumes", "logs", "events", "events.1",
    "core.log", "core.log.1", "console.json",
)  # fmt: skip
CACHE: Final = (
    "apt", "kernels", "foundations", "runtimes", "images", "layers", "blanks", "templates", "scratch",
    "accelerator.json",
)  # fmt: skip
CONFIG: Final = ("config.toml",)


def uninstall_main(argv: Sequence[str]) -> int:
    """Stop everything and remove what there is."""
    parser = Parser(
        "uninstall",
        "[--yes]",
        "Stop all sandboxes and remove them with what they wrote, volumes, logs, what was built, and the settings.",
        _EXAMPLES,
    )
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    options = parser.parse_args(list(argv))
    found = paths.find()
    here = _what_is_kept(found)
    if not here:
        say("nothing of sandtop's is here")
        return 0
    for path in here:
        say(f"goes: {path} ({size(_use(path))})")
    if not options.yes:
        _ask()
    stop_core(machines=True)
    try:
        for path in _what_is_kept(found):
            _remove(path)
        shutil.rmtree(found.runtime, ignore_errors=True)  # sockets, gone after a reboot anyway
    except OSError as error:
        raise from_os_error(error, "cannot remove what sandtop keeps") from error
    for folder in (found.data, found.cache, found.config):
        with suppress(OSError):  # something else is in it, or it is a link to where it really is
            folder.rmdir()
    say("removed. The program goes as it came, such as: pipx uninstall sandtop")
    say("the Debian packages that setup installed stay: others may need them")
    return 0


def _what_is_kept(found: paths.Paths) -> list[Path]:
    wanted = ((found.data, DATA), (found.cache, CACHE), (found.config, CONFIG))
    return [folder / name for folder, names in wanted for name in names if os.path.lexists(folder / name)]


def _use(path: Path) -> int:
    from sandtop.core.guest.store import disk_use

    return disk_use(path) if path.is_dir() and not path.is_symlink() else path.lstat().st_blocks * 512


def _ask() -> None:
    if not (os.isatty(0) and os.isatty(2)):
        raise InvalidRequest("nobody is here to ask", hint="sandtop uninstall --yes does not ask")
    os.write(2, b"Stop all sandboxes and remove this for good? [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InvalidRequest("nothing was removed")


def _remove(path: Path) -> None:
    """Remove it; of a link the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
