"""What is in the package that ``pip install .`` makes, and that it works without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sandtop import __version__
from sandtop.core.cli.manual import COMPLETIONS, PAGE

PROJECT = Path(__file__).parents[1]

BUILD = """
import sys
import setuptools.build_meta as backend
getattr(backend, sys.argv[1])(sys.argv[2])
"""


def build(kind: str, source: Path, into: Path) -> Path:
    """Build ``source`` with its own build backend and return the one file that comes of it."""
    into.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BUILD, f"build_{kind}", str(into)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = into.iterdir()
    return built


def copy_of_the_project(to: Path) -> Path:
    """The committed folders that a package is made of; a build in the checkout itself would leave things there."""
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("agent", "core", "tui", "src", "share"):
        shutil.copytree(PROJECT / folder, to / folder, symlinks=True, ignore=skip)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / file, to / file)
    return to


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the sdist, as an index would have it."""
    folder = tmp_path_factory.mktemp("package")
    sdist = build("sdist", copy_of_the_project(folder / "project"), folder / "sdist")
    (folder / "unpacked").mkdir()
    # not shutil, which warns without an argument that Debian 12's does not know
    subprocess.run(["tar", "-xf", sdist, "-C", folder / "unpacked"], check=True)
    (unpacked,) = (folder / "unpacked").iterdir()
    return build("wheel", unpacked, folder / "wheel")


def sources(room: str) -> set[str]:
    """What the package should hold of a room: its modules and data files, by their names in the wheel."""
    return {
        f"sandtop/{path.relative_to(PROJECT)}"
        for path in (PROJECT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("room", ["agent", "core", "tui"])
def test_the_wheel_holds_all_of_a_room(wheel: Path, room: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith(f"sandtop/{room}/")}
    assert held == sources(room)


def test_the_wheel_holds_nothing_but_the_package_and_its_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    here = f"sandtop-{__version__}"
    assert {name.split("/")[0] for name in names} == {"sandtop", f"{here}.dist-info", f"{here}.data"}
    files = {name for name in names if name.startswith(f"{here}.data/")}
    assert files == {f"{here}.data/data/share/{name}" for name in (PAGE, *COMPLETIONS.values())}
    assert {
        "sandtop/__init__.py",
        "sandtop/__main__.py",
        "sandtop/py.typed",
        "sandtop/core/guest/init",
    } <= names


def test_the_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "sandtop", "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},  # before the checkout's editable installation
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "sandbox" in done.stdout
