"""Sandboxes whose links are AF_VSOCK connections through the host's vhost-vsock; `just nested` has such a host."""

from __future__ import annotations

import errno
import os
import pwd
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.settings import SLOWER

from sandtop.agent.wire import VSOCK_PORT, marker
from sandtop.core import paths
from sandtop.core.machine.qemu.vsock import problem

from .conftest import Home, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROBLEM = problem()
pytestmark = [pytest.mark.vm, pytest.mark.skipif(_PROBLEM is not None, reason=_PROBLEM or "")]


@pytest.fixture(scope="module")
def vsock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose core insists on vsock, with one sandbox in it."""
    folder = tmp_path_factory.mktemp("v")
    folder.chmod(0o711)
    (folder / "cache").symlink_to(paths.find().cache)
    home = Home(folder)
    home.do("core", "start", "--channel", "vsock")
    home.do("create", "box")
    yield home
    for sandbox in home.json("ls"):
        home.do("rm", "--force", sandbox["name"])
    home.do("core", "stop", "--all")


def spec_of(home: Home, name: str = "box") -> dict[str, Any]:
    """What ``inspect`` says of its machine's spec."""
    found = cast("Any", home.json("inspect", name))
    return cast("dict[str, Any]", found["machine"]["spec"])


def test_links_go_over_vsock(vsock: Home) -> None:
    spec = spec_of(vsock)
    assert (spec["transport"], spec["transport_reason"]) == ("vsock", "the host has vhost-vsock")
    assert spec["cid"] > 2
    assert vsock.do("exec", "box", "--", "echo", "hello") == b"hello\n"
    data = os.urandom(3_000_000)
    assert vsock.do("exec", "-i", "box", "--", "cat", stdin=data) == data


def test_a_core_that_is_killed_in_a_flood_loses_nothing(vsock: Home) -> None:
    cid = spec_of(vsock)["cid"]
    running = vsock.popen("exec", "box", "--", "seq", "1", "2000000", stdout=subprocess.PIPE)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(running.communicate(timeout=300 * SLOWER)[0]))
    reader.start()
    killed = 0
    while killed < 5 and reader.is_alive():
        killed += vsock.kill_core() is not None
        eventually(lambda: vsock.run("core", "status").returncode == 0)
    reader.join(300 * SLOWER)
    assert running.returncode == 0
    assert read[0] == b"".join(b"%d\n" % n for n in range(1, 2_000_001))
    assert spec_of(vsock)["cid"] == cid


def test_clones_have_cids_of_their_own(vsock: Home) -> None:
    vsock.do("create", "one", "two")
    cids = {spec_of(vsock, name)["cid"] for name in ("box", "one", "two")}
    assert len(cids) == 3
    for name in ("one", "two"):
        assert vsock.do("exec", name, "--", "echo", name) == f"{name}\n".encode()
        assert spec_of(vsock, name)["transport"] == "vsock"
        vsock.do("rm", "--force", name)


def test_a_machine_that_stood_still_goes_on(vsock: Home) -> None:
    vsock.do("pause", "box")
    vsock.do("resume", "box")
    assert vsock.do("exec", "box", "--", "echo", "on") == b"on\n"


def test_other_users_of_the_host_are_hung_up_on(vsock: Home) -> None:
    """Anybody may connect; nobody learns anything, and links stand."""
    cid = spec_of(vsock)["cid"]
    nobody = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    said = marker("0" * 32, "1" * 32)
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_VSOCK); s.settimeout(20)\n"
        f"s.connect(({cid}, {VSOCK_PORT})); s.sendall({said!r})\n"
        "try: sys.exit(len(s.recv(100)))\n"
        "except ConnectionResetError: sys.exit(0)\n"
    )
    python = "/usr/bin/python3" if nobody is not None else sys.executable
    assert (
        subprocess.run([python, "-c", script], user=nobody, check=False, timeout=60 * SLOWER).returncode == 0
    )
    assert vsock.do("exec", "box", "--", "echo", "mine") == b"mine\n"


def test_programs_of_the_sandbox_cannot_take_the_port(vsock: Home) -> None:
    script = (
        "import errno, socket, sys\n"
        "try: socket.socket(socket.AF_VSOCK).bind((socket.VMADDR_CID_ANY, int(sys.argv[1])))\n"
        "except OSError as error: print(error.errno)\n"
    )
    said = vsock.do("exec", "box", "--", "python3", "-c", script, str(VSOCK_PORT))
    assert int(said) == errno.EADDRINUSE


def test_a_cid_that_is_gone_is_no_machine(vsock: Home) -> None:
    vsock.do("create", "short")
    cid = spec_of(vsock, "short")["cid"]
    vsock.do("rm", "--force", "short")
    with socket.socket(socket.AF_VSOCK) as caller:
        caller.settimeout(20)
        with pytest.raises(OSError, match="No such device") as caught:
            caller.connect((cid, VSOCK_PORT))
        assert caught.value.errno == errno.ENODEV
