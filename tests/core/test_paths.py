"""Where sandtop keeps things is this user's alone, whatever the umask and whatever was there before."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sandtop.core import paths
from sandtop.core.errors import StorageError
from sandtop.core.sessions.last_holder import LastHolder
from sandtop.core.sessions.log import SessionLog
from sandtop.core.sessions.tty import Tty
from sandtop.core.store import Database

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

SOMEBODY = 1001


@contextmanager
def umask(mask: int) -> Generator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SANDTOP_HOME", os.fspath(tmp_path / "one" / "two" / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(tmp_path))
    return tmp_path / "one" / "two" / "home"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder: Path, bits: int) -> dict[str, str]:
    """What below ``folder``, itself included, has one of the permission ``bits``."""
    found = {str(path): oct(mode(path)) for path in (folder, *folder.rglob("*")) if not path.is_symlink()}
    return {path: shown for path, shown in found.items() if int(shown, 8) & bits}


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_what_is_made_is_private_whatever_the_umask(home: Path, tmp_path: Path, mask: int) -> None:
    with umask(mask):
        found = paths.find()
        found.ensure()
        with Database(found.database), SessionLog(found.logs / "box" / "session") as log:
            log.append(1, b"secret")
            tty = Tty(log.folder, {"rows": 24, "columns": 80})
            tty.resize(0, 30, 90)
            tty.answered = 5
            LastHolder(log.folder, "a").pass_to("b")
            assert {path.name for path in log.folder.iterdir()} >= {"sizes", "lease", "answered", "index"}
            assert {path.name for path in found.data.iterdir()} >= {"sandtop.db", "sandtop.db-wal"}
            assert open_to_others(tmp_path / "one", 0o077) == {}
        assert open_to_others(found.runtime, 0o077) == {}


def test_what_is_there_and_ours_is_made_safe(home: Path) -> None:
    found = paths.find()
    for folder in (found.data, found.cache, found.config, found.logs, found.images):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
    home.chmod(0o2775)
    found.database.touch()
    found.database.chmod(0o644)
    found.ensure()
    assert (mode(found.data), mode(found.logs)) == (0o700, 0o700)
    assert (mode(found.cache), mode(found.images), mode(found.config), mode(home)) == (
        0o755, 0o755, 0o755, 0o2755,
    )  # fmt: skip
    with Database(found.database):
        assert mode(found.database) == 0o600


@pytest.mark.parametrize(
    "name", ["data", "cache", "config", "data/sandboxes", "data/logs", "cache/images", "."]
)
@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder away, which takes root")
def test_somebody_elses_folder_is_refused(home: Path, name: str) -> None:
    folder = home / name
    folder.mkdir(parents=True)
    os.chown(folder, SOMEBODY, SOMEBODY)
    _is_refused(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="/usr is root's own")
def test_a_link_to_somebody_elses_folder_is_refused(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "data").symlink_to("/usr")
    _is_refused(home / "data")


def _is_refused(folder: Path) -> None:
    before = folder.stat()
    with pytest.raises(StorageError, match="belongs to") as caught:
        paths.find().ensure()
    assert str(folder) in caught.value.message
    assert "chown" in str(caught.value.hint)
    assert folder.stat().st_mode == before.st_mode


def test_a_file_in_a_folders_place_is_refused(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "data").touch()
    with pytest.raises(StorageError, match="is not a folder"):
        paths.find().ensure()


def test_a_home_where_the_sticky_bit_keeps_people_apart_is_left_as_it_is(home: Path) -> None:
    home.mkdir(parents=True)
    home.chmod(0o1777)
    paths.find().ensure()
    assert mode(home) == 0o1777


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_a_core_makes_nothing_that_others_could_change(home: Path, tmp_path: Path, mask: int) -> None:
    def sandtop(*arguments: str) -> None:
        command = [sys.executable, "-m", "sandtop", *arguments]
        subprocess.run(command, check=True, timeout=50, stdout=subprocess.DEVNULL, umask=mask)

    sandtop("ls")
    try:
        found = paths.find()
        assert found.core_log.exists()
        assert open_to_others(found.data, 0o077) == {}
        assert open_to_others(found.runtime, 0o077) == {}
        assert open_to_others(tmp_path / "one", 0o022) == {}
    finally:
        sandtop("core", "stop")
