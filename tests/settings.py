"""Settings that a whole run of tests on virtual machines is made with, to see one of sandtop's ways at work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_settings(home: Path) -> None:
    """Write the lines in ``SANDTOP_TEST_SETTINGS``, such as ``accelerator = "kvm"``, to the settings of ``home``."""
    if lines := os.environ.get("SANDTOP_TEST_SETTINGS"):
        (home / "config").mkdir(mode=0o700, exist_ok=True)
        (home / "config" / "config.toml").write_text(f"{lines}\n")
