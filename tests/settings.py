"""How a whole run of tests on virtual machines is made: with which of sandtop's settings, and on how slow a host."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

SLOWER = float(os.environ.get("SANDTOP_TEST_SLOWER", "1"))
"""How many times as long as on any other host these tests may take: the host itself may be emulated."""


_ASKED: Final = os.environ.get("SANDTOP_TEST_SETTINGS", "")
"""Lines such as ``accelerator = "kvm"``."""


def accelerator() -> str:
    """What these settings ask for: as the setting ``accelerator``."""
    return str(tomllib.loads(_ASKED).get("accelerator", "auto"))


def channel() -> str:
    """The same as the setting ``channel``."""
    return str(tomllib.loads(_ASKED).get("channel", "auto"))


def write_settings(home: Path, *own: str) -> None:
    """Write these settings, and behind them the lines ``own`` of a test, to the file of ``home``.

    Where there are none, there is no file.
    """
    path = home / "config" / "config.toml"
    path.unlink(missing_ok=True)
    if lines := [*_ASKED.splitlines(), *own]:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text("\n".join([*lines, ""]))
