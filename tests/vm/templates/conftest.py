"""Two homes: one that shares all that was ever built, one whose templates are its own, so that they can be damaged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.settings import SLOWER, write_settings

from sandtop.core import paths
from sandtop.core.guest import GuestStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 150.0 * SLOWER
"""Seconds for a command that may have to boot a machine twice, emulated on a busy host."""


def beside_the_disk(complained: str) -> str:
    """What a command complained of, but for the warning that this host has little disk for more sandboxes."""
    return re.sub(r"sandtop: warning: the disks of all sandboxes may take .*\n", "", complained)


class Home:
    """One SANDTOP_HOME, driven through the real command line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.templates = path / "cache" / "templates"
        self.environment = {**os.environ, "SANDTOP_HOME": str(path)}

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """``sandtop ARGUMENTS`` in the background."""
        return subprocess.Popen(
            [sys.executable, "-m", "sandtop", *arguments],
            env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[str, str]:
        """The stdout and stderr of ``sandtop ARGUMENTS``, which must succeed."""
        with self.popen(*arguments) as process:
            said, complained = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, f"{arguments}: {process.returncode}: {complained}"
        return said, complained

    def do(self, *arguments: str) -> str:
        """The stdout of ``sandtop ARGUMENTS``, which must succeed and complain of nothing."""
        said, complained = self.run(*arguments)
        assert beside_the_disk(complained) == ""
        return said

    def restored(self, name: str) -> bool:
        """Whether the sandbox went on from a template."""
        machine = cast("dict[str, Any]", json.loads(self.do("inspect", "--json", name)))["machine"]
        return bool(machine["spec"]["restored"])

    def whole(self) -> list[Path]:
        """The folders of the templates that are in their place."""
        return [path.parent for path in self.templates.glob("*/facts.json") if path.parent.name[0] != "."]


def _home(folder: Path, parts: tuple[str, ...], *settings: str) -> Iterator[Home]:
    built = paths.find()
    GuestStore(built).prepare()
    (folder / "cache").mkdir()
    for part in parts:
        (built.cache / part).mkdir(exist_ok=True)
        (folder / "cache" / part).symlink_to(built.cache / part)
    if (built.cache / "accelerator.json").exists():
        shutil.copy2(built.cache / "accelerator.json", folder / "cache")
    write_settings(folder, *settings)
    home = Home(folder)
    yield home
    for sandbox in cast("list[dict[str, Any]]", json.loads(home.do("ls", "--json"))):
        home.do("rm", "--force", sandbox["name"])
    home.do("core", "stop", "--all")


_BUILT = ("kernels", "runtimes", "foundations", "images", "blanks")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Sandboxes of the default shape start here from what other tests, or an earlier run, prepared."""
    yield from _home(tmp_path_factory.mktemp("t"), (*_BUILT, "templates"))


@pytest.fixture(scope="session")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """No template is here but what tests have made here, and no machine stands by, for which none would be read."""
    yield from _home(tmp_path_factory.mktemp("p"), _BUILT, "warm_machines = 0")
