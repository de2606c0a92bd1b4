"""The machine that shows which accelerator works."""

from __future__ import annotations

from pathlib import Path

from sandtop.core.guest import KERNEL_ARGS, BootFiles
from sandtop.core.templates import trial_of


def test_it_says_how_it_gets_on() -> None:
    """A driver gives one that prints longer than a silent one, and a quiet kernel is silent for most of a boot."""
    files = BootFiles(Path("kernel"), Path("initramfs"), Path("image"))
    words = trial_of(files, Path("run")).arguments.split()
    assert "quiet" not in words
    assert {*KERNEL_ARGS} - {*words} == {"quiet"}
