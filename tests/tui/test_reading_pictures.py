"""Pictures of what one reads and answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop.core.paths import Paths

from .picture import picture, pressing, views

if TYPE_CHECKING:
    from .picture import Compare

READING: dict[str, tuple[str, ...]] = {
    "help": ("question_mark",), "palette": ("colon",), "command": ("j", "x"),
    "options": ("j", "x", *"make test", "tab", *"-t -u build -e CI=1 --timeout 5m"),
}  # fmt: skip
OWN: dict[str, tuple[str, ...]] = {
    "settings": ("colon", *"settings", "enter"), "custom": ("j", "D"),
}  # fmt: skip
CONFIG = """
[console]
theme = "light"
confirm = ["remove"]
sort = "cpu"

[console.keys.fleet]
logs = "Z"

[[console.commands]]
name = "dump"
key = "D"
run = ["dump-to-disk", "{name}", "{label.team}"]
question = "Dump {name}?"
"""


@pytest.mark.parametrize(("state", "size", "theme"), views(READING))
def test_reading(snap_compare: Compare, state: str, size: str, theme: str) -> None:
    assert picture(snap_compare, size, theme, pressing(*READING[state]))


@pytest.mark.parametrize(("state", "size", "theme"), views(OWN))
def test_settings_of_ones_own(
    snap_compare: Compare, state: str, size: str, theme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = Paths(Path("data"), Path("cache"), Path("config"), Path("run"))
    own.ensure()
    own.settings.write_text(CONFIG)
    assert picture(snap_compare, size, theme, pressing(*OWN[state]), paths=own)
