"""Sandboxes whose links are AF_VSOCK connections through the host's vhost-vsock; `just nested` has such a host."""

from __future__ import annotations

import errno
import os
import pwd
import secrets
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.settings import SLOWER, write_settings

from sandtop.agent.wire import VSOCK_PORT, marker
from sandtop.core import paths
from sandtop.core.errors import MachineError
from sandtop.core.machine import Channel
from sandtop.core.machine.qemu import vsock as device
from sandtop.core.machine.qemu import vsockdiag
from sandtop.core.machine.qemu.driver import QemuDriver

from .conftest import PATIENCE, Home, eventually, say
from .test_chaos import BLOCK, Killer, check, reading, sequence

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

_PROBLEM = device.problem()
pytestmark = [pytest.mark.vm, pytest.mark.skipif(_PROBLEM is not None, reason=_PROBLEM or "")]


@pytest.fixture(scope="module")
def vsock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose core insists on vsock, with one sandbox in it."""
    folder = tmp_path_factory.mktemp("v")
    folder.chmod(0o711)
    (folder / "cache").symlink_to(paths.find().cache)
    write_settings(folder)
    home = Home(folder)
    # a core may take longer than a command waits for it: this host may itself be emulated, and busy
    home.run("core", "start", "--channel", "vsock")
    eventually(lambda: home.core_pid() is not None)
    home.do("create", "box")
    yield home
    for sandbox in home.json("ls"):
        home.do("rm", "--force", sandbox["name"])
    home.do("core", "stop", "--all")


@contextmanager
def opened() -> Generator[int]:
    descriptor = os.open(device.DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def spec_of(home: Home, name: str = "box") -> dict[str, Any]:
    """What ``inspect`` says of its machine's spec."""
    found = cast("Any", home.json("inspect", name))
    return cast("dict[str, Any]", found["machine"]["spec"])


def test_links_go_over_vsock(vsock: Home) -> None:
    spec = spec_of(vsock)
    assert (spec["transport"], spec["transport_reason"]) == ("vsock", "asked for")
    assert spec["cid"] > 2
    assert vsock.do("exec", "box", "--", "echo", "hello") == b"hello\n"
    data = os.urandom(3_000_000)
    assert vsock.do("exec", "-i", "box", "--", "cat", stdin=data) == data


@pytest.mark.chaos
def test_streams_both_ways_are_exact_however_often_the_core_is_killed(vsock: Home, chaos_rounds: int) -> None:
    """What goes in through cat comes out of it, over as many links as cores are killed, and stands in the log."""
    cid = spec_of(vsock)["cid"]
    blocks = 8 * max(1, chaos_rounds)
    size = blocks * 16 * BLOCK
    killer = Killer(vsock, [secrets.randbelow(size) for _ in range(chaos_rounds)])
    failed: list[BaseException] = []
    with vsock.popen(
        "exec", "-i", "box", "--", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as client:  # fmt: skip

        def write() -> None:
            assert client.stdin is not None
            try:
                for block in sequence(blocks):
                    client.stdin.write(block)
                client.stdin.close()
            except OSError as error:
                failed.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert check(reading(client), sequence(blocks), killer) == size
        except BaseException:
            client.kill()
            raise
        finally:
            writer.join(PATIENCE)
        assert client.wait(PATIENCE) == 0
    assert failed == []
    assert killer.kills == chaos_rounds
    key = vsock.last_session("box")["id"]
    with vsock.popen("logs", "box", key, stdout=subprocess.PIPE) as stored:
        assert check(reading(stored), sequence(blocks)) == size
    spec = spec_of(vsock)
    assert (spec["transport"], spec["cid"]) == ("vsock", cid)
    say(f"{size} bytes in and out, the core killed {killer.kills} times")


SERVICE = 2024
MANY = [f"n{number}" for number in range(max(5, round(20 / SLOWER)))]
"""Twenty; fewer where the host is an emulated machine."""


@pytest.mark.slow
def test_many_that_are_made_at_once_have_cids_of_their_own(vsock: Home) -> None:
    """They go on from one template, so its key has no CID in it; and the next core finds each of them by its own."""
    clients = [vsock.popen("create", *MANY[first::5]) for first in range(5)]
    assert [client.wait(PATIENCE) for client in clients] == [0] * 5
    shown = {name: cast("Any", vsock.json("inspect", name))["machine"] for name in MANY}
    cids = {name: each["spec"]["cid"] for name, each in shown.items()}
    assert len({*cids.values(), spec_of(vsock)["cid"]}) == len(MANY) + 1
    assert {name for name, each in shown.items() if "-incoming" in each["argv"]} == set(MANY)
    assert vsock.kill_core() is not None
    assert {name: spec_of(vsock, name)["cid"] for name in MANY} == cids
    for name in MANY:
        assert vsock.do("exec", name, "--", "hostname") == f"{name}\n".encode()
        assert spec_of(vsock, name)["transport"] == "vsock"
    vsock.do("rm", "--force", *MANY)


def test_a_cid_that_somebody_has_is_left_to_him(vsock: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of a core that was killed is somebody, too, and so is another program of this host."""
    cid = spec_of(vsock)["cid"]
    assert vsock.kill_core() is not None
    monkeypatch.setattr(device, "CIDS", range(cid, cid + 3))
    with ExitStack() as stack:
        one, two, three = (stack.enter_context(opened()) for _ in range(3))
        assert {device.take_cid(one), device.take_cid(two)} == {cid + 1, cid + 2}
        with pytest.raises(MachineError, match="no CID is free"):
            device.take_cid(three, "box")
    assert spec_of(vsock)["cid"] == cid
    assert vsock.do("exec", "box", "--", "echo", "here") == b"here\n"


def test_a_machine_that_stood_still_goes_on_whoever_called_meanwhile(vsock: Home) -> None:
    """Its kernel takes connections then whose other end is gone: ghosts, which send no marker."""
    cid = spec_of(vsock)["cid"]
    vsock.do("pause", "box")
    for _ in range(20):
        with socket.socket(socket.AF_VSOCK) as ghost:
            ghost.setblocking(False)
            assert ghost.connect_ex((cid, VSOCK_PORT)) == errno.EINPROGRESS
    with socket.socket(socket.AF_VSOCK) as patient, pytest.raises(TimeoutError):
        patient.connect((cid, VSOCK_PORT))  # the kernel's own patience: two seconds
    assert vsock.kill_core() is not None
    vsock.do("resume", "box")
    assert vsock.do("exec", "box", "--", "echo", "on") == b"on\n"
    assert spec_of(vsock)["transport"] == "vsock"


def test_what_listens_on_the_host_is_what_guests_reach_and_auto_opens_it_to_nobody(
    vsock: Home, tmp_path: Path
) -> None:
    before = vsockdiag.ports()
    assert (QemuDriver(tmp_path).choose_channel().channel is Channel.VSOCK) is (not before)
    with socket.socket(socket.AF_VSOCK) as service:
        service.bind((socket.VMADDR_CID_ANY, SERVICE))
        service.listen()
        service.settimeout(20 * SLOWER)
        assert vsockdiag.ports() == sorted([*before, SERVICE])
        choice = QemuDriver(tmp_path).choose_channel()
        assert choice.channel is Channel.VIRTIO_SERIAL
        assert "but guests would reach what listens on its AF_VSOCK, port " in choice.reason
        program = (
            "import socket, sys\n"
            "s = socket.socket(socket.AF_VSOCK); s.connect((2, int(sys.argv[1]))); s.sendall(b'guest')\n"
        )
        vsock.do("exec", "box", "--", "python3", "-c", program, str(SERVICE))
        caller, address = service.accept()
        with caller:
            assert (caller.recv(100), address[0]) == (b"guest", spec_of(vsock)["cid"])


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
    assert subprocess.run([python, "-c", script], user=nobody, check=False, timeout=60).returncode == 0
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
