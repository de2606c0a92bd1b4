"""The link over real AF_VSOCK, also where the host has none: agent and core side are both in a sandbox, whose kernel
carries the bytes (vsock_loopback). The core itself is in test_vhost: to start trio there takes longer than all this."""

from __future__ import annotations

import compileall
import json
import shutil
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import TYPE_CHECKING

import pytest

from sandtop import agent
from sandtop.core import paths
from sandtop.core.guest import GuestStore

from .conftest import say

if TYPE_CHECKING:
    from .conftest import Home

pytestmark = [pytest.mark.vm]

MODULES = ("vsock", "vmw_vsock_virtio_transport_common", "vsock_loopback")
TESTS = Path(__file__).parents[2]


def copied(folder: Path) -> Path:
    """A folder with all that runs in the guest, but no `sandtop/__init__`: it imports more than is there."""
    for name in MODULES:
        shutil.copy(GuestStore(paths.find()).kernel().modules / f"{name}.ko", folder)
    (folder / "tests/agent").mkdir(parents=True)
    shutil.copy(TESTS / "agent/core_side.py", folder / "tests/agent")
    shutil.copy(TESTS / "settings.py", folder / "tests")
    for script in (TESTS / "agent/hosted.py", Path(__file__).with_name("vsock_guest.py")):
        shutil.copy(script, folder)
    shutil.copytree(Path(agent.__file__).parent, folder / "sandtop/agent")
    # an emulated processor takes a minute to compile all that, where the guest's Python is another than this one
    unchecked = PycInvalidationMode.UNCHECKED_HASH
    assert compileall.compile_dir(folder, quiet=1, force=True, invalidation_mode=unchecked)
    return folder


@pytest.mark.timeout(180)
def test_the_link_over_the_kernels_vsock(home: Home, box: str, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    home.do("exec", box, "--", "rm", "-rf", "/root/v")
    home.do("cp", str(copied(tmp_path / "v")), f"{box}:/root/v")
    done = home.run("exec", box, "--env", "PYTHONPATH=/root/v", "--", "python3", "/root/v/vsock_guest.py")
    say(done.stderr.decode())
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == {
        "before_the_secret_is_known": True,
        "a_link_after_it_is": ["out\n", "err\n", 7],
        "every_wrong_secret": [True] * 5,
        "output_over_connections_that_are_cut": True,
        "input_over_connections_that_are_cut": True,
        "a_stalled_stream_holds_up_no_other": "through\n",
        "one_connection_after_the_other": "still\n",
        "half_open_connections": "let in\n",
        "the_port_is_taken": "EADDRINUSE",
        "the_serial_port_takes_over_and_back": ["serial\n", "vsock\n"],
        "who_is_not_the_host": True,
    }
