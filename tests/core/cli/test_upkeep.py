"""``version``, ``bug-report`` and ``uninstall``, on homes where no sandbox is."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandtop import __version__
from sandtop.core import paths
from sandtop.core.cli import uninstall
from sandtop.core.cli.bug_report import Hide

from .process import command

if TYPE_CHECKING:
    from pathlib import Path

    from .process import Run


BUILT = paths.find().cache
"""This user's own cache."""


def test_the_version_for_people_and_for_programs(run: Run, home: Path) -> None:
    assert run("version").out.decode() == f"sandtop {__version__}\n"
    said = json.loads(run("version", "--json").out)
    assert set(said) == {
        "sandtop", "core", "python", "qemu", "host", "host_kernel", "guest_release", "guest_kernel",
    }  # fmt: skip
    assert said["sandtop"] == __version__
    assert said["core"] is None  # none was started for that
    assert said["guest_kernel"] is None  # nor anything built
    assert said["guest_release"] == "bookworm"
    assert not (home / "data" / "core.log").exists()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("https://me:geheim@proxy.example:3128/", "https://***@proxy.example:3128/"),
        ("API_KEY=abc123 rest", "API_KEY=*** rest"),
        ('{"github_token": "abc 123", "x": 1}', '{"github_token": ***, "x": 1}'),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("password = 'a b'", "password = ***"),
        ("at /home/alice/.cache/sandtop", "at ~/.cache/sandtop"),
        ("/home/alicelike and alice on wonder, alice's", "/home/alicelike and USER on HOST, USER's"),
        ("the tokens of a parser", "the tokens of a parser"),
    ],
)
def test_secrets_and_names_are_left_out(line: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    assert Hide("alice", "wonder")(line) == shown


def test_root_is_nobodys_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    assert Hide("root", "localhost")("root in /root at localhost") == "root in ~ at localhost"


def test_a_report_has_what_is_asked_for_and_no_secret(run: Run, home: Path) -> None:
    found = paths.find()
    found.ensure()
    found.settings.write_text('accelerator = "tcg"\n')
    found.core_log.write_text("older\nproxy http://me:geheim@there failed\n")
    done = run("bug-report")
    assert done.status == 0
    said = done.out.decode()
    for part in (
        "== versions\nsandtop: ",
        "== doctor\n",
        'accelerator = "tcg"',
        "no core runs",
        "http://***@there",
    ):
        assert part in said
    assert "geheim" not in said
    assert b"read it before you send it" in done.err


def test_uninstall_asks_and_takes_what_is_its_own(run: Run, home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "kernels" / "key").mkdir(parents=True)
    (elsewhere / "kernels" / "key" / "vmlinuz").write_text("bytes")
    paths.find().ensure()
    (home / "cache" / "kernels").symlink_to(elsewhere / "kernels")
    (home / "config" / "config.toml").write_text("")
    (home / "config" / "of-somebody-else").write_text("kept")
    done = run("uninstall")
    assert done.status != 0
    assert f"goes: {home}/config/config.toml" in done.err.decode()
    assert (home / "config" / "config.toml").exists()
    assert _answered("n").endswith("nothing was removed")
    assert (home / "config" / "config.toml").exists()
    assert "removed. The program goes as it came" in _answered("y")
    assert not (home / "data").exists()
    assert not (home / "cache").exists()
    assert [path.name for path in (home / "config").iterdir()] == ["of-somebody-else"]
    assert (elsewhere / "kernels" / "key" / "vmlinuz").exists()  # behind a link
    assert not paths.find().runtime.exists()
    done = run("uninstall", "--yes")
    assert (done.status, done.err) == (0, b"sandtop: nothing of sandtop's is here\n")


def test_uninstall_knows_all_that_is_built() -> None:
    built = BUILT.iterdir() if BUILT.exists() else ()
    assert {path.name for path in built} <= set(uninstall.CACHE)


def _answered(answer: str) -> str:
    """What ``sandtop uninstall`` says to somebody at a terminal who answers so."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command("uninstall"), stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        said = b""
        while True:
            try:
                said += os.read(ours, 4096)
            except OSError:  # EIO: the last of them closed it
                break
        process.wait(60)
    os.close(ours)
    return said.decode().strip()
