"""``sandtop setup`` on machines that lack something. Their apt-get is a stand-in; nothing is installed here."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop.core import paths
from sandtop.core.errors import EXIT_SANDTOP_FAILED, MissingDependency
from sandtop.core.guest import GuestStore

if TYPE_CHECKING:
    from collections.abc import Callable

BUILT = paths.find().cache
"""This user's own cache, where set-up built all that is needed."""


class Host:
    """A machine whose programs are links to this one's, but for those that were taken away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.log = folder / "log"
        for place in ("/bin", "/usr/bin", "/sbin", "/usr/sbin"):
            for path in Path(place).iterdir():
                if not (self.programs / path.name).is_symlink():
                    (self.programs / path.name).symlink_to(path)
        self.has("sudo", 'exec "$@"')  # the real one has a PATH of its own

    def lacks(self, *names: str) -> None:
        for name in names:
            (self.programs / name).unlink()

    def has(self, name: str, script: str) -> None:
        (self.programs / name).unlink(missing_ok=True)
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": str(self.programs),
            "SANDTOP_HOME": str(self.folder / "home"),
            "XDG_RUNTIME_DIR": str(self.folder),
        }

    def setup(self, *options: str, answer: str | None = None) -> tuple[int, str]:
        """The exit status, and what it said. With ``answer`` somebody is at the terminal."""
        command = [sys.executable, "-c", _WITHOUT_SBIN, *options]
        if answer is None:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=self.environment, check=False, timeout=60, text=True,
            )  # fmt: skip
            return done.returncode, done.stdout
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=self.environment
        ) as process:
            os.close(theirs)
            os.write(ours, f"{answer}\n".encode())
            said = b""
            while True:
                try:
                    said += os.read(ours, 4096)
                except OSError:  # EIO: the last of them closed it
                    break
        os.close(ours)
        return process.returncode, said.decode()


# the real command, but for the folders that it adds to the PATH, where the real programs are
_WITHOUT_SBIN = """
import os, sys
from sandtop.core.guest import tools
tools.environment = lambda extra=None: {**os.environ, **(extra or {})}
from sandtop.core.cli.main import main
sys.exit(main(["setup", *sys.argv[1:]]))
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    GuestStore(paths.find()).build()
    host = Host(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "cache").symlink_to(BUILT)
    return host


@pytest.fixture
def installs(host: Host) -> Callable[..., None]:
    """Makes an apt-get that brings these programs when it installs."""

    def installs(*names: str) -> None:
        brings = "".join(f"ln -s /bin/true {host.programs}/{name};" for name in names)
        host.has("apt-get", f'echo "$*" >>{host.log}; case "$*" in *" install "*) {brings} ;; esac')

    return installs


def test_where_all_is_there_it_says_so_and_asks_nothing(host: Host) -> None:
    assert host.setup() == (0, "sandtop: all is set up: sandtop run -- python3 -c \"print('hello')\"\n")


@pytest.mark.slow
def test_it_asks_before_it_installs(host: Host, installs: Callable[..., None]) -> None:
    host.lacks("qemu-system-x86_64", "mksquashfs")
    installs("qemu-system-x86_64", "mksquashfs")
    status, said = host.setup()
    assert status != 0
    assert "missing (some 35 MB to fetch, 150 MB on the disk): qemu-system-x86 squashfs-tools" in said
    assert said.endswith("nobody is here to ask about them (run: sandtop setup --yes)\n")
    status, said = host.setup(answer="n")
    assert status != 0
    assert "Install them? [y/N]" in said
    assert "nothing was installed" in said
    assert not host.log.exists()
    status, said = host.setup(answer="y")
    assert status == 0, said
    update, install = host.log.read_text().splitlines()
    assert update.endswith(" update")
    assert install.endswith(" install -y --no-install-recommends qemu-system-x86 squashfs-tools")


def test_yes_asks_nobody(host: Host, installs: Callable[..., None]) -> None:
    host.lacks("mmdebstrap")
    installs("mmdebstrap")
    status, said = host.setup("--yes")
    assert status == 0, said
    assert "these Debian packages are missing: mmdebstrap\n" in said
    assert host.log.read_text().splitlines()[1].endswith(" mmdebstrap")


def test_an_apt_that_fails(host: Host) -> None:
    host.lacks("mmdebstrap")
    host.has("apt-get", "echo E: broken >&2; exit 100")
    status, said = host.setup("--yes")
    assert status == EXIT_SANDTOP_FAILED
    assert "E: broken\nsandtop: apt-get update failed (see above) (mend that, or run: " in said


def test_a_first_sandbox_on_a_machine_that_is_not_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said to whoever waits for it, whether or not that is a terminal; nothing is begun."""
    monkeypatch.setattr("sandtop.core.guest.tools.environment", lambda: {"PATH": str(tmp_path)})
    store = GuestStore(paths.Paths(*(tmp_path / name for name in ("data", "cache", "config", "runtime"))))
    assert store.lacking() == "the kernel, the guest runtime and the base image"
    with pytest.raises(MissingDependency) as caught:
        store.prepare()
    assert caught.value.message.startswith(
        "this machine is not set up for sandtop yet: it lacks apt-get, dpkg-deb, "
    )
    assert caught.value.hint == "run: sandtop setup"
    assert not (tmp_path / "cache").exists()


def test_who_waits_for_a_first_sandbox_hears_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def build(_self: GuestStore, _progress: object) -> None:
        """As if it were there at once."""

    monkeypatch.setattr(GuestStore, "build", build)
    store = GuestStore(paths.Paths(*(tmp_path / name for name in ("data", "cache", "config", "runtime"))))
    said: list[str] = []
    store.prepare(said.append)
    (line,) = said
    # what begins so is said wherever stderr goes
    assert line.startswith(
        "warning: this machine is not set up yet: building the kernel, the guest runtime and "
    )
