"""How a whole run of tests on virtual machines is made: with which of sandtop's settings, and on how slow a host."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SLOWER = float(os.environ.get("SANDTOP_TEST_SLOWER", "1"))
"""How many times as long as on any other host these tests may take: the host itself may be emulated."""


def accelerator() -> str:
    """What these settings ask for: as the setting ``accelerator``."""
    return str(tomllib.loads(os.environ.get("SANDTOP_TEST_SETTINGS", "")).get("accelerator", "auto"))


def write_settings(home: Path) -> None:
    """Write the lines in ``SANDTOP_TEST_SETTINGS``, such as ``accelerator = "kvm"``, to the settings of ``home``."""
    if lines := os.environ.get("SANDTOP_TEST_SETTINGS"):
        (home / "config").mkdir(mode=0o700, exist_ok=True)
        (home / "config" / "config.toml").write_text(f"{lines}\n")
