"""CIDs and vhost-vsock, on hosts that have it and on those that do not. The device is a stand-in where the host has
none: what a kernel answers to the ioctl is written down there, from drivers/vhost/vsock.c."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import MachineError
from sandtop.core.findings import Verdict
from sandtop.core.machine import Accelerator, Channel, Identity, Memory
from sandtop.core.machine.qemu import vsock, vsockdiag
from sandtop.core.machine.qemu.commandline import Role, command_line, needed
from sandtop.core.machine.qemu.driver import QemuDriver
from sandtop.core.machine.qemu.machine import _way  # pyright: ignore[reportPrivateUsage]
from sandtop.core.machine.qemu.vsockdiag import _asked  # pyright: ignore[reportPrivateUsage]
from sandtop.core.machine.records import ChannelChoice

from .test_commandline import RUNTIME, SPEC

if TYPE_CHECKING:
    from collections.abc import Callable

VSOCK = replace(SPEC, channel=Channel.VSOCK)


class Kernel:
    """The host's CIDs, as the ioctl has them: one machine each, whoever asks."""

    def __init__(self) -> None:
        self.taken: dict[int, int] = {}
        self.refuses = 0
        self.error: int | None = None

    def ioctl(self, device: int, request: int, argument: bytes) -> int:
        assert request == 0x4008AF60
        (cid,) = struct.unpack("=Q", argument)
        assert 2 < cid < 0xFFFFFFFF
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        if self.refuses or self.taken.get(cid, device) != device:
            self.refuses = max(0, self.refuses - 1)
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        self.taken[cid] = device
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr("sandtop.core.machine.qemu.vsock.fcntl.ioctl", kernel.ioctl)
    return kernel


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ports that listen on the host; a negative one is an error that the kernel gives instead."""
    ports: list[int] = []

    def told() -> list[int]:
        if ports and ports[0] < 0:
            raise OSError(-ports[0], os.strerror(-ports[0]))
        return ports

    monkeypatch.setattr(vsockdiag, "ports", told)
    return ports


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kernel: Kernel) -> Path:
    path = tmp_path / "vhost-vsock"
    path.touch()
    monkeypatch.setattr(vsock, "DEVICE", path)
    return path


def test_a_cid_that_somebody_else_has_is_left_to_him(kernel: Kernel) -> None:
    kernel.refuses = 5
    cid = vsock.take_cid(7)
    assert kernel.taken == {cid: 7}
    assert cid in vsock.CIDS


def test_twenty_at_once_get_twenty(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vsock, "CIDS", range(100, 140))
    assert len({vsock.take_cid(device) for device in range(20)}) == 20


def test_when_none_is_free_there_is_an_end(kernel: Kernel) -> None:
    kernel.refuses = 1000
    with pytest.raises(MachineError, match="no CID is free after 64 tries"):
        vsock.take_cid(7)


def test_what_the_kernel_refuses_is_said(kernel: Kernel) -> None:
    kernel.error = errno.EPERM
    with pytest.raises(MachineError, match="gives no CID: Operation not permitted"):
        vsock.take_cid(7, "box")


def test_the_device_is_handed_over_and_the_cid_is_the_machines() -> None:
    command = command_line(VSOCK, RUNTIME, numbers={role: 50 for role in needed(VSOCK, RUNTIME)}, cid=777)
    words = " ".join(command.argv)
    assert "vhost-vsock-pci,guest-cid=777,vhostfd=50,disable-legacy=on,romfile=" in words
    assert "virtserialport" in words, "the port stays"
    role = next(each for each in command.descriptors if each.role is Role.VSOCK)
    assert (role.path, role.role.is_writable, role.role.is_socket) == (vsock.DEVICE, True, False)
    assert "vsock" not in " ".join(command_line(SPEC, RUNTIME).argv)


def test_a_template_is_for_machines_with_the_same_channel_and_any_cid(tmp_path: Path) -> None:
    driver = QemuDriver(tmp_path)
    shape = replace(VSOCK, memory=Memory(Path("/m")))
    assert driver.fingerprint(shape) == driver.fingerprint(replace(shape, uuid=shape.uuid[:-1] + "0"))
    assert driver.fingerprint(shape) != driver.fingerprint(replace(shape, channel=Channel.VIRTIO_SERIAL))


def _with(device: Path) -> None:
    assert device.exists()


def _without(device: Path) -> None:
    device.unlink()


@pytest.mark.parametrize(
    ("asked", "host", "channel", "says"),
    [
        (None, _with, "vsock", "this host has vhost-vsock, and no service that a guest reaches by it"),
        (None, _without, "virtio-serial", "no vsock: .*vhost-vsock is not there: modprobe vhost_vsock"),
        (
            Channel.VIRTIO_SERIAL,
            _with,
            "virtio-serial",
            "by the setting channel; this host has vhost-vsock, too",
        ),
        (Channel.VIRTIO_SERIAL, _without, "virtio-serial", "by the setting channel; no vsock: "),
        (Channel.VSOCK, _with, "vsock", "asked for"),
    ],
)
def test_vsock_where_the_host_has_it_and_nobody_asked_for_another(
    tmp_path: Path,
    device: Path,
    listening: list[int],
    asked: Channel | None,
    host: Callable[[Path], None],
    channel: str,
    says: str,
) -> None:
    host(device)
    assert not listening
    driver = QemuDriver(tmp_path, asked)
    choice = driver.choose_channel()
    assert choice.channel.value == channel
    finding = driver.examine_channel()
    assert finding.verdict is Verdict.OK
    assert re.fullmatch(f"{channel}; {says}.*", finding.detail)


@pytest.mark.parametrize(
    ("ports", "says"),
    [
        ([22, 2024], "guests would reach what listens on its AF_VSOCK, port 22, 2024"),
        ([1, 2, 3, 4, 5, 6], "guests would reach what listens on its AF_VSOCK, port 1, 2, 3, 4, 5 ..."),
        ([-errno.EPERM], "what guests would reach on its AF_VSOCK is not known: Operation not permitted"),
    ],
)
def test_a_vsock_that_leads_to_services_of_the_host_is_only_for_those_who_ask(
    tmp_path: Path, device: Path, listening: list[int], ports: list[int], says: str
) -> None:
    listening[:] = ports
    choice = QemuDriver(tmp_path).choose_channel()
    assert choice == ChannelChoice(Channel.VIRTIO_SERIAL, f"this host has vhost-vsock, but {says}")
    insisting = QemuDriver(tmp_path, Channel.VSOCK)
    assert insisting.choose_channel().channel is Channel.VSOCK
    finding = insisting.examine_channel()
    assert finding.verdict is Verdict.WARN
    assert finding.detail == f"vsock; asked for, but {says}"


def _told(*sockets: tuple[int, int, int]) -> bytes:
    """What the kernel's dump has of these (state, CID, port): linux/netlink.h, linux/vm_sockets_diag.h."""
    return b"".join(
        struct.pack("=IHHII", 48, 20, 2, 1, 0)
        + struct.pack("=BBBBIIIII2I", 40, 1, state, 0, cid, port, 0, 0, 0, 0, 0)
        for state, cid, port in sockets
    )


def test_what_listens_is_read_out_of_the_kernels_answer() -> None:
    anybody, host, local = 0xFFFFFFFF, 2, 1
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.send(_told((10, anybody, 2024), (10, local, 7), (1, host, 5000)))
        theirs.send(_told((10, host, 22)))
        theirs.send(struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0))
        assert _asked(ours) == [22, 2024]
        asked = theirs.recv(1000)
        assert struct.unpack("=IHHII", asked[:16])[:3] == (len(asked), 20, 0x301)
        assert struct.unpack_from("=BBHI", asked, 16) == (40, 0, 0, 1 << 10)
        theirs.send(struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -errno.ENOENT) + asked[:16])
        with pytest.raises(OSError, match="this kernel has no vsock_diag"):
            _asked(ours)


def test_whoever_asks_for_vsock_in_vain_is_told_why(tmp_path: Path, device: Path) -> None:
    device.unlink()
    driver = QemuDriver(tmp_path, Channel.VSOCK)
    with pytest.raises(MachineError, match=r"vsock was asked for and cannot be used: .*not there") as caught:
        driver.choose_channel()
    assert "--channel virtio-serial" in (caught.value.hint or "")
    assert driver.examine_channel().verdict is Verdict.FAIL


def test_a_device_that_is_there_and_does_not_work_is_no_vsock(
    tmp_path: Path, device: Path, kernel: Kernel
) -> None:
    kernel.error = errno.ENOTTY
    assert "gives no CID" in QemuDriver(tmp_path).choose_channel().reason


def test_a_device_that_works_is_looked_at_once_and_a_missing_one_again(
    tmp_path: Path, device: Path, kernel: Kernel, listening: list[int]
) -> None:
    assert not listening
    driver = QemuDriver(tmp_path)
    device.unlink()
    assert driver.choose_channel().channel is Channel.VIRTIO_SERIAL
    device.touch()
    assert driver.choose_channel().channel is Channel.VSOCK
    assert driver.choose_channel().channel is Channel.VSOCK
    assert len(kernel.taken) == 1


@pytest.mark.parametrize("insist", [False, True])
def test_the_way_to_an_agent_is_kept_with_the_machine(tmp_path: Path, insist: bool) -> None:
    identity = Identity(VSOCK.uuid, 1, 2, "boot", 777)
    assert type(_way(identity, tmp_path, insist=insist)).__name__ == "Vsock"
    assert type(_way(replace(identity, cid=None), tmp_path, insist=insist)).__name__ == "UnixSocket"


def test_the_driver_says_what_it_can() -> None:
    info = QemuDriver(Path("/nowhere")).info
    assert info.transports == ("vsock", "virtio-serial")
    assert Accelerator.KVM in info.accelerators
