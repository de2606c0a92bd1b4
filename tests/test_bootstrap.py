"""What `bootstrap` does when all is there, and what it says when a step cannot be done. Its programs are stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandtop.core import setup

PROJECT = Path(__file__).parents[1]

ALL_INSTALLED = "echo installed"
NONE_INSTALLED = "exit 1"

MAKE_VENV = rf"""
case "$1 $2" in
"-m venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python && printf '#!/bin/sh\necho just "$@"\n' >.venv/bin/just &&
    chmod +x .venv/bin/just ;;
"-m pip") echo "pip $*" >>log ;;
*) exec {sys.executable} "$@" ;;
esac
"""


class Host:
    """A checkout with nothing but `bootstrap`, on a host whose programs are all stand-ins or coreutils."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.programs = folder / "bin"
        self.checkout.mkdir()
        self.programs.mkdir()
        shutil.copy(PROJECT / "bootstrap", self.checkout)
        shutil.copy(PROJECT / "pyproject.toml", self.checkout)
        for name in ("sh", "env", "cat", "dirname", "ls", "sed", "sha256sum", "rm", "mkdir", "cp", "chmod"):
            program = shutil.which(name)
            assert program
            (self.programs / name).symlink_to(program)
        self.has("dpkg-query", ALL_INSTALLED)
        self.has("id", "echo 0")
        self.has("uname", "case $1 in -s) echo Linux ;; -m) echo x86_64 ;; esac")
        self.has("apt-get", "exit 99")
        self.has("python3", MAKE_VENV)

    def has(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def bootstrap(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / "bootstrap", *words],
            env={"PATH": os.fspath(self.programs)},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def log(self) -> list[str]:
        path = self.checkout / "log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_second_run_installs_nothing_and_hands_over(host: Host) -> None:
    first = host.bootstrap("test")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.endswith("just test\n")
    renewed, installed = host.log
    assert "pip>=25" in renewed
    assert installed.endswith("--editable .[dev] rust-just>=1.42")
    second = host.bootstrap("test", "-k", "two words")
    assert (second.returncode, second.stdout, second.stderr) == (0, "just test -k two words\n", "")
    assert host.bootstrap("demo").stdout == "just demo\n"
    assert len(host.log) == 2


def test_the_tools_of_developers_come_when_somebody_develops(host: Host) -> None:
    host.has("dpkg-query", NONE_INSTALLED)
    host.has("apt-get", 'echo "apt-get $*" >>log')
    assert host.bootstrap("demo").returncode == 0
    assert host.log[-1].endswith("--editable . rust-just>=1.42")
    assert not any("dev" in line or "tmux" in line for line in host.log)
    host.has("dpkg-query", 'case "$*" in *tmux*|*busybox*) exit 1 ;; esac; echo installed')
    before = len(host.log)
    assert host.bootstrap("check").returncode == 0
    _update, packages, tools = host.log[before:]
    assert packages.endswith(" busybox-static tmux")
    assert tools.endswith("--editable .[dev]")


def test_it_installs_what_setup_would(host: Host) -> None:
    host.has("dpkg-query", NONE_INSTALLED)
    host.has("id", "echo 1000")
    host.has("sudo", 'exec "$@"')
    host.has("apt-get", 'echo "apt-get $*" >>log')
    assert host.bootstrap("setup").returncode == 0
    packages = host.log[1].partition("--no-install-recommends ")[2].split()
    assert {*packages} - {"python3-venv"} == {*setup.PACKAGES, *setup.PACKAGES_FOR_USERS}


def test_changed_dependencies_are_installed_and_changed_tool_settings_are_not(host: Host) -> None:
    host.bootstrap("setup")
    settings = host.checkout / "pyproject.toml"
    settings.write_text(settings.read_text().replace("line-length = 110", "line-length = 111"))
    assert host.bootstrap("setup").stdout == "just setup\n"
    settings.write_text(settings.read_text().replace('"trio', '"hypothesis", "trio'))
    host.bootstrap("setup")
    assert len(host.log) == 4  # pip itself, and sandtop, twice


def test_only_what_is_missing_is_installed_and_named_first(host: Host) -> None:
    host.has("dpkg-query", 'case "$*" in *squashfs-tools*) exit 1 ;; esac; echo installed')
    host.has("apt-get", 'echo "apt-get $*" >>log')
    done = host.bootstrap("setup")
    assert (done.returncode, done.stderr) == (0, "")
    assert "==> Installing Debian packages: squashfs-tools\n" in done.stdout
    update, install, *_pip = host.log
    assert update.endswith(" update")
    assert install.endswith(" install -y --no-install-recommends squashfs-tools")


def test_a_user_installs_with_sudo(host: Host) -> None:
    host.has("dpkg-query", NONE_INSTALLED)
    host.has("id", "echo 1000")
    host.has("apt-get", 'echo "apt-get $*" >>log')
    host.has("sudo", 'echo sudo >>log; exec "$@"')
    done = host.bootstrap("setup")
    assert done.returncode == 0
    assert "==> Installing Debian packages with sudo: " in done.stdout
    assert host.log[0] == host.log[2] == "sudo"


def test_neither_root_nor_sudo(host: Host) -> None:
    host.has("dpkg-query", NONE_INSTALLED)
    host.has("id", "echo 1000")
    host.has("apt-get", "exit 0")
    done = host.bootstrap("setup")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "bootstrap: neither root nor sudo here; ask root to run: apt-get update && apt-get install qemu-"
    )


def test_no_apt(host: Host) -> None:
    (host.programs / "apt-get").unlink()
    done = host.bootstrap("setup")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "bootstrap: this installs packages with apt, which is not here: use Debian 12 or 13"
    )


@pytest.mark.parametrize(
    ("system", "processor", "says"),
    [
        ("Darwin", "arm64", "sandtop needs Linux, and this is macOS: use a machine"),
        ("Linux", "aarch64", "sandtop needs an amd64 processor (x86-64): for aarch64 there is no guest yet"),
    ],
)
def test_where_it_cannot_run_it_touches_nothing(host: Host, system: str, processor: str, says: str) -> None:
    host.has("uname", f"case $1 in -s) echo {system} ;; -m) echo {processor} ;; esac")
    host.has("dpkg-query", NONE_INSTALLED)
    done = host.bootstrap("demo")
    assert done.returncode == 1
    assert done.stderr.startswith(f"bootstrap: {says}")
    assert done.stderr.count("\n") == 1
    assert not (host.checkout / ".venv").exists()


@pytest.mark.parametrize("step", ["update", "install"])
def test_apt_fails(host: Host, step: str) -> None:
    host.has("dpkg-query", NONE_INSTALLED)
    host.has("apt-get", f'case "$*" in *{step}*) echo E: broken >&2; exit 100 ;; esac')
    done = host.bootstrap("setup")
    assert done.returncode == 1
    assert done.stderr.startswith("E: broken\nbootstrap: apt-get ")
    assert not (host.checkout / ".venv").exists()


def test_pip_fails_and_the_next_run_tries_again(host: Host) -> None:
    host.has("python3", MAKE_VENV.replace('echo "pip $*" >>log', "echo no route >&2; exit 1"))
    for _ in range(2):
        done = host.bootstrap("setup")
        assert done.returncode == 1
        assert done.stderr == "no route\nbootstrap: pip could not install sandtop into .venv (see above)\n"
    host.has("python3", MAKE_VENV)
    assert host.bootstrap("setup").returncode == 0


def test_old_python(host: Host) -> None:
    host.has("python3", 'case "$1" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac')
    done = host.bootstrap("setup")
    assert done.returncode == 1
    assert done.stderr == "bootstrap: Python 3.11 or newer is needed, and python3 here is: Python 3.9.2\n"
